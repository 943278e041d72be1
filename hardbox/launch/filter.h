/* Loading the job's filter.  Used by: drop.c. */
#ifndef HB_FILTER_H
#define HB_FILTER_H

#include "init.h"

/* Load the filter of a SECCOMP step; with HB_SECCOMP_TELL or HB_SECCOMP_WATCH hand the supervisor
 * its listener. 0, or -1 and errno: EBUSY if somebody around us listens already, ENOTSUP if the
 * filter does not allow the one call by which the listener is handed over. */
int filter_load(const struct hb_init *init, const struct hb_step *step);

#endif
