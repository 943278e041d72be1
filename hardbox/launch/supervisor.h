/* The outside half of a launch.  Used by: main.c. */
#ifndef HB_SUPERVISOR_H
#define HB_SUPERVISOR_H

#include <signal.h>

#include "init.h"
#include "plan.h"

#define HB_EXIT_TIME_LIMIT 124
#define HB_EXIT_REFUSED 125
#define HB_EXIT_CANNOT_EXECUTE 126
#define HB_EXIT_NOT_FOUND 127
#define HB_EXIT_SIGNAL_BASE 128

/* Signals that are handed on to the job. */
#define HB_FORWARDED SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH

/* Launch, watch until everything inside has ended, and give the exit status.
 * status_fd: where records go (see wire.h), or -1: failures are told on stderr.
 * network_fd: who keeps the job's network (network.h), or -1; a plan that needs one is then refused.
 * samples: the caller wants SAMPLE records.
 * hold_fd: the launch is a member of a pool, whose owner is there (hold.h), or -1; hold_at: where it waits. */
int supervisor_run(const struct hb_plan *plan, const struct hb_command *command, int status_fd,
		   int network_fd, int samples, int hold_fd, uint32_t hold_at);

#endif
