/* Sockets of the job's own network, handed to a process outside that keeps it.
 *
 * Used by: launch.h, supervisor.c, watch.c, init.c, network.c. */
#ifndef HB_NETWORK_H
#define HB_NETWORK_H

#include <stdint.h>

#include "init.h"
#include "plan.h"

/* What a keeper may say. */
enum { HB_NETWORK_SERVED = 1, HB_NETWORK_QUEUED };

struct hb_network {
	int fd;	       /* to the keeper, -1: there is none, or it has gone */
	uint32_t left; /* sockets that init has still to send */
	int asked;     /* the job is ready, and waits until the keeper is */
	int served;    /* the keeper has said that it is */
	uint64_t until; /* the moment, by now_ns(), at which it is waited for no longer */
	int needed;    /* while the job runs, too: its sockets are not what it keeps */
};

/* A plan whose sockets nobody would keep is refused: 0, or -1 and errno. */
int network_check(struct hb_network *network, const struct hb_plan *plan);
/* Hand a socket of init's on, and close it. 0, or -1 and errno. */
int network_pass(struct hb_network *network, int socket);
/* All sockets are handed on, and the job is ready: ask the keeper to be so too. 0, or -1 and errno. */
int network_ask(struct hb_network *network);
/* The keeper speaks: SERVED the job may go, QUEUED it has to wait for others; -1 and errno: it has gone, or
 * speaks nonsense, and is heard no more. */
int network_hear(struct hb_network *network);

/* Execute a LISTEN or LOCAL_ROUTE step, in init. 0, or -1 and errno. */
int network_step(const struct hb_init *init, const struct hb_step *step);

#endif
