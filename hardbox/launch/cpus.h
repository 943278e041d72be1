/* Which CPUs a job runs on.  Used by: drop.c, hold.c. */
#ifndef HB_CPUS_H
#define HB_CPUS_H

#include <stdint.h>
#include <sys/types.h>

/* Keep `count` of the CPUs that we may use, from the one we run on upwards: the scheduler has just placed
 * us on the idlest one, which spreads many jobs. pid: whose; 0: our own. 0, or -1 and errno. */
int cpus_keep(pid_t pid, uint64_t count);

#endif
