/* Whether the places in memory that a job writes to were full: scratch, and the layer of changes over
 * a shown tree. Writes are not looked at; statfs(2) is asked whenever another call is, which sees
 * what was full before it was removed, and at the end.
 *
 * Run by: the supervisor, with --explain only. A descriptor of its own keeps each file system
 * until it has been asked for the last time, when the mount namespace is gone. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>

#include "observe.h"

#define PLACES 16u

struct place {
	const char *path; /* of the plan */
	int fd;
	uint32_t full;
};

static struct place places[PLACES];
static uint32_t count;
static int opened;

static void open_all(const struct hb_plan *plan)
{
	for (uint32_t i = 0; i < plan->count && count < PLACES; i++) {
		const struct hb_step *step = &plan->steps[i];
		int fd;

		if (step->kind != HB_TMPFS && step->kind != HB_OVERLAY)
			continue;
		fd = observe_find(step->field[0].string);
		if (fd >= 0)
			places[count++] = (struct place){.path = step->field[0].string, .fd = fd};
	}
	opened = 1;
}

static uint32_t full(int fd)
{
	struct statfs found;

	if (fstatfs(fd, &found) < 0)
		return 0;
	return (found.f_blocks > 0 && found.f_bfree == 0 ? HB_FULL_BYTES : 0) |
	       (found.f_files > 0 && found.f_ffree == 0 ? HB_FULL_FILES : 0);
}

void scratch_look(const struct hb_plan *plan)
{
	if (observe_root() < 0)
		return;
	if (!opened)
		open_all(plan);
	for (uint32_t i = 0; i < count; i++)
		places[i].full |= full(places[i].fd);
}

void scratch_end(void)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t now = full(places[i].fd);
		struct hb_seen seen = {.error = ENOSPC,
				       .bits = HB_SEEN_FULL,
				       .flags = places[i].full | now,
				       .mode = now != 0 ? HB_FULL_AT_END : 0,
				       .count = 1};
		size_t length = strlen(places[i].path);

		if (seen.flags == 0 || length >= sizeof(seen.text))
			continue;
		memcpy(seen.text, places[i].path, length);
		observe_add(&seen);
	}
}
