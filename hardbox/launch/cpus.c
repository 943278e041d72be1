/* Which CPUs a job runs on.  Run by: init, or the supervisor for a job that waits in a pool. */
#include "cpus.h"

#include <sched.h>

int cpus_keep(pid_t pid, uint64_t count)
{
	cpu_set_t may;
	cpu_set_t keep;
	int start = sched_getcpu();

	if (start < 0 || sched_getaffinity(0, sizeof(may), &may) < 0)
		return -1;
	CPU_ZERO(&keep);
	for (int i = 0; i < CPU_SETSIZE && count > 0; i++) {
		int cpu = (start + i) % CPU_SETSIZE;

		if (CPU_ISSET((size_t)cpu, &may)) {
			CPU_SET((size_t)cpu, &keep);
			count--;
		}
	}
	return sched_setaffinity(pid, sizeof(keep), &keep);
}
