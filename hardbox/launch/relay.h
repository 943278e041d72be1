/* The process that copies between the caller's descriptors 0-2 and the job's.
 *
 * Used by: supervisor.c, watch.c, relay.c, carry.c. */
#ifndef HB_RELAY_H
#define HB_RELAY_H

#include <stdint.h>
#include <sys/types.h>

#include "plan.h"
#include "streams.h"
#include "terminal.h"

/* Shared by supervisor and relay, so that it is known however the relay ends. */
struct hb_copied {
	uint64_t bytes[2]; /* of stdout, which is also what a terminal got, and of stderr */
	uint32_t over;	   /* there was more than the limit on output */
	uint32_t raw;	   /* the caller's terminal has our modes */
};

struct hb_relay {
	struct hb_streams streams;
	struct hb_terminal terminal;
	int master; /* of the job's terminal, -1: not yet, or none */
	int link;   /* to the relay, -1: there is none */
	pid_t pid;  /* 0: there is none */
	struct hb_copied *copied; /* NULL: there is none */
};

/* Is there anything to copy? */
int relay_wanted(const struct hb_relay *relay);
/* Start it, once the job's terminal is there if it is to have one; sets the caller's to raw.
 * 0, or -1 and errno. */
int relay_start(struct hb_relay *relay, const struct hb_plan *plan);
/* Take a message: 1 if there was more output than the limit, 0 if the relay is gone. */
int relay_message(struct hb_relay *relay);
/* The caller's terminal has another size. */
void relay_resized(const struct hb_relay *relay);

/* The relay itself; `link` is its end of the supervisor's (carry.c). */
_Noreturn void relay_main(const struct hb_relay *from, int link, const struct hb_plan *plan);

#endif
