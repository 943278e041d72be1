/* What may stand on descriptors 0-2.  Used by: supervisor.c. */
#ifndef HB_STREAMS_H
#define HB_STREAMS_H

#include <stdint.h>

/* Check 0-2, and put /dev/null where one is closed. 0, or -1 and errno: EISDIR for a
 * directory, ENOTSUP for a device, socket, memory file or O_PATH descriptor that is not let in. */
int streams_check(void);

/* Let the job, who is another user of the host than root, reopen the anonymous pipes on 0-2
 * (/dev/stdin), each in its own direction only. 0, or -1 and errno. */
int streams_reopen(void);

#endif
