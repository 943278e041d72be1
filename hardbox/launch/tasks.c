/* Whether the limit of tasks will refuse a clone(2) or fork(2): counts those that are told of, and
 * walks the tree only when the count says that there is no room, to see how many have ended since.
 * A C library asks for a thread's stack first; where that has no room, no clone(2) is made.
 *
 * Run by: the supervisor, with --explain only. The kernel counts by itself (RLIMIT_NPROC), and decides. */
#include "tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#include "io.h"
#include "numbers.h"
#include "sample.h"

#define INIT 1u /* counts with the job's tasks (hardbox/plan/walls.py) */
#define MORE 1u /* the one that is about to be made */

#define STACK_KIB 8192u /* what C libraries give a thread that says nothing else */

static uint64_t limit_of(const struct hb_plan *plan, unsigned int resource)
{
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->steps[i].kind == HB_RLIMIT && plan->steps[i].field[0].number == resource)
			return plan->steps[i].field[1].number;
	return UINT64_MAX;
}

/* KiB of private, writable memory, as RLIMIT_DATA counts it; 0: not known. */
static uint64_t private_kib(uint32_t pid)
{
	char path[32];
	char text[2048];
	uint64_t kib = 0;

	(void)snprintf(path, sizeof(path), "/proc/%u/status", pid);
	return text_read(AT_FDCWD, path, text, sizeof(text)) < 0 || number_find(text, "VmData:", &kib) < 0
		   ? 0
		   : kib;
}

static int stacks_spent(const struct launch *launch, uint32_t pid, struct hb_seen *seen)
{
	uint64_t limit = limit_of(launch->plan, RLIMIT_DATA);
	uint64_t kib = (seen->flags & CLONE_THREAD) == 0 ? 0 : private_kib(pid);

	if (kib == 0 || kib + STACK_KIB <= limit / 1024)
		return 0;
	seen->error = ENOMEM;
	seen->mode = (uint32_t)(kib / 1024);
	return 1;
}

int tasks_observe(const struct launch *launch, const struct seccomp_notif *call, struct hb_seen *seen)
{
	static uint64_t limit;
	static uint64_t known = MORE; /* never fewer than there are: the job is init's, and may come unheard */
	struct hb_sample sample;

	if (limit == 0)
		limit = limit_of(launch->plan, RLIMIT_NPROC);
	if (known++ + INIT + MORE <= limit ||
	    sample_take(launch->init, HB_SAMPLE_BOUND, &sample) < 0)
		return stacks_spent(launch, call->pid, seen);
	known = sample.tasks + MORE;
	if (known + INIT <= limit)
		return stacks_spent(launch, call->pid, seen);
	seen->error = EAGAIN;
	seen->mode = (uint32_t)sample.tasks;
	return 1;
}
