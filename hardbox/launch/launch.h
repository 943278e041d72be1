/* One launch, as its supervisor sees it.
 *
 * Used by: supervisor.c, watch.c, hold.c, network.c, notify.c, observe.c, tasks.c, limits.c, relay.c, tell.c,
 * readback.c, outcome.c. */
#ifndef HB_LAUNCH_H
#define HB_LAUNCH_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "hold.h"
#include "limits.h"
#include "network.h"
#include "plan.h"
#include "relay.h"
#include "wire.h"

struct launch {
	const struct hb_plan *plan;
	int status_fd; /* to the caller; -1: there is none, or it has gone */
	int called;    /* there is a caller who tells people, or was: nothing is told on stderr */
	int control;   /* to init */
	int job;       /* to the job, until it has exec'd; then -1 */
	int signals;
	int pidfd;
	int listener;  /* of the filter's notifications; -1: there is none, or it is given up */
	uint64_t rest; /* monotonic ns until which the listener is left alone, 0: not at all */
	pid_t init;
	struct hb_relay relay;
	struct hb_network network;
	struct hb_hold hold;
	const struct hb_lease *lease;
	uint64_t began;
	uint64_t deadline; /* monotonic ns, 0: none yet */
	uint64_t grace; /* ms between SIGTERM and SIGKILL */
	enum hb_cause cause;
	uint32_t failed_step;
	int failed;	/* errno of a set-up failure, 0: none */
	int no_exec;	/* errno of the exec, 0: it worked */
	int hello;	/* the job has been read back */
	int started;	/* the exec has happened */
	int ended;	/* `status` is valid */
	int status;
	struct hb_limits limits;
};

/* Monotonic nanoseconds. */
uint64_t now_ns(void);
/* A time that is `ms` milliseconds later; one beyond the clock's range is its end. */
uint64_t later(uint64_t from, uint64_t ms);
/* Of two moments, of which 0 is none. */
uint64_t earlier(uint64_t a, uint64_t b);
/* How long poll(2) may wait for the deadline. */
int timeout_ms(const struct launch *launch);

/* A step failed: remember it, the first one only. Gives -1. step: 1-based, 0: none in particular. */
int blame(struct launch *launch, uint32_t step, int error);
/* The same, where init could not be given what it needs: what it said last counts for more than that it is gone. */
int blame_init(struct launch *launch, uint32_t step, int error);
/* End everything inside. */
void kill_all(const struct launch *launch);
/* The event loop: from the moment that init has all it needs until it has ended. */
void watch(struct launch *launch);
/* All is ready: the job may exec. */
void watch_go(struct launch *launch);
/* Judge what stands on 0-2, and prepare what takes its place. 0, or -1 with the step blamed. */
int prepare_streams(struct launch *launch);
/* Everything inside is gone: let the relay finish, and tell the caller what it copied. */
void relay_end(struct launch *launch);

/* Hand the caller the namespaces of the host and of init. */
void read_back_namespaces(const struct launch *launch);
/* Hand the caller what /proc says of the job, just before its exec. */
void read_back_job(const struct launch *launch, pid_t pid);
/* Its pid, which tells the caller that from here on it may have run. */
void read_back_pid(const struct launch *launch, pid_t pid);

/* Tell the caller, or stderr, that set-up failed or how the job ended; gives the exit status. */
int report_failure(const struct launch *launch);
int report_end(const struct launch *launch, const char *command, const struct rusage *usage);

#endif
