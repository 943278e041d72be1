/* What may stand on descriptors 0-2.  Used by: supervisor.c, init.c, relay.c. */
#ifndef HB_STREAMS_H
#define HB_STREAMS_H

#include <stdint.h>

/* Bit n of a set stands for descriptor n. A descriptor that is in neither set is the caller's own. */
struct hb_streams {
	unsigned int terminals; /* replaced by a terminal of the sandbox (terminal.c) */
	unsigned int relayed;	/* replaced by a pipe that relay.c copies from or to */
	int job[3];		/* the job's end of that pipe, or -1 */
	int relay[3];		/* the relay's end, or -1; -1 and relayed: stderr goes with stdout */
};

/* Check 0-2, and put /dev/null where one is closed. `allowed`: flags of the STDIO step; `counted`:
 * there is a limit on output. 0, or -1 and errno: EISDIR for a directory, EPROTONOSUPPORT for a
 * socket pair where none may be, ENOTSUP for a device, socket, memory file or O_PATH descriptor
 * that is not let in. */
int streams_check(struct hb_streams *streams, uint64_t allowed, int counted);

/* Make the pipes of what is relayed. 0, or -1 and errno. */
int streams_open(struct hb_streams *streams);

/* Put the job's ends on 0-2; init does, before it closes everything else. 0, or -1 and errno. */
int streams_enter(const struct hb_streams *streams);

/* Close the job's ends, which init has now. */
void streams_leave(const struct hb_streams *streams);

/* Let the job, who is another user of the host than root, reopen the anonymous pipes on 0-2
 * (/dev/stdin), each in its own direction only. 0, or -1 and errno. */
int streams_reopen(const struct hb_streams *streams);

#endif
