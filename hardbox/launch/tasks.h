/* Whether there is room for one more task (--explain).  Used by: observe.c. */
#ifndef HB_TASKS_H
#define HB_TASKS_H

#include "launch.h"
#include "observe.h"

/* A clone(2) or fork(2) is about to be made, `seen->flags` its flags. 1, with error and
 *   EAGAIN: the limit of tasks will refuse it; mode: how many there are
 *   ENOMEM: it will work, but the stack of another thread has no room; mode: MiB that the process has */
int tasks_observe(const struct launch *launch, const struct seccomp_notif *call, struct hb_seen *seen);

#endif
