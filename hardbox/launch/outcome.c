/* How a launch ended: told to the caller as a record, or on stderr where there is none, and
 * turned into the exit status.
 *
 * Run by: the supervisor, last. */
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor.h"

/* A name out of a plan must not drive the terminal of whoever reads the message. */
static const char *printable(const char *text, char *room, size_t size)
{
	size_t used = 0;

	for (; text[used] != '\0' && used + 1 < size; used++)
		room[used] = text[used];
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)room[i] < ' ' || room[i] == 127)
			room[i] = '?';
	room[used] = '\0';
	return room;
}

int report_failure(const struct launch *launch)
{
	int known = launch->failed_step > 0 && launch->failed_step <= launch->plan->count;
	const struct hb_step *step = known ? &launch->plan->steps[launch->failed_step - 1] : NULL;

	if (launch->status_fd >= 0) {
		uint32_t head[2] = {launch->failed_step, (uint32_t)launch->failed};

		(void)record_write(launch->status_fd, HB_RECORD_FAILED, head, sizeof(head), NULL, 0);
		return HB_EXIT_REFUSED;
	}

	char text[256];
	const char *first = known && step->field[0].string != NULL ? step->field[0].string : "";

	(void)fprintf(stderr,
		      "hardbox-launch: set-up failed [HB601]: step %u of %u, %s%s%s: %s\n"
		      "  nothing was run\n",
		      launch->failed_step, launch->plan->count, known ? step->name : "set-up",
		      first[0] == '\0' ? "" : " ", printable(first, text, sizeof(text)),
		      strerror(launch->failed));
	return HB_EXIT_REFUSED;
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

int report_end(const struct launch *launch, const char *command, const struct rusage *usage)
{
	struct {
		int32_t status;
		uint32_t cause;
		uint64_t wall, user, system, rss;
	} head = {
	    .status = launch->status,
	    .cause = (uint32_t)launch->cause,
	    .wall = now_ns() - launch->began,
	    .user = microseconds(usage->ru_utime),
	    .system = microseconds(usage->ru_stime),
	    .rss = (uint64_t)usage->ru_maxrss,
	};

	(void)record_write(launch->status_fd, HB_RECORD_ENDED, &head, sizeof(head), NULL, 0);
	if (launch->no_exec != 0) {
		int missing = launch->no_exec == ENOENT || launch->no_exec == ENOTDIR;
		char text[256];

		if (launch->status_fd < 0)
			(void)fprintf(stderr, "hardbox-launch: %s: %s: %s\n",
				      missing ? "not found" : "cannot execute",
				      printable(command, text, sizeof(text)),
				      strerror(launch->no_exec));
		return missing ? HB_EXIT_NOT_FOUND : HB_EXIT_CANNOT_EXECUTE;
	}
	if (launch->cause == HB_CAUSE_WALL)
		return HB_EXIT_TIME_LIMIT;
	if (WIFSIGNALED(launch->status))
		return 128 + WTERMSIG(launch->status);
	return WEXITSTATUS(launch->status);
}
