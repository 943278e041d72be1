/* A cgroup for one sandbox: made, limited, filled, emptied, removed; and what killed launchers left
 * behind is removed by the next.
 *
 * Each cgroup is a folder "hardbox-" and random digits; its maker holds flock(2) on it from just
 * after mkdir(2) to its own death, however that comes. A folder that can be locked therefore has no
 * maker any more, or one that has not come as far as the lock: such a maker sees that its folder is
 * gone, or held, and makes another.
 *
 * Run by: the supervisor. */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "io.h"
#include "numbers.h"

#define TRIES 16
#define REMOVE_TRIES 100 /* milliseconds */

static int write_text(int folder, const char *name, const char *text)
{
	int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : closing(write_whole(fd, text, strlen(text)), fd);
}

static int open_folder(int place, const char *name)
{
	return openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Whether `folder` is what stands at `name` still. */
static int still_there(int place, const char *name, int folder)
{
	struct stat held;
	struct stat named;

	return fstat(folder, &held) == 0 && fstatat(place, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/* 1: made and locked; 0: somebody who reclaims was faster; -1 and errno. */
static int make_once(struct hb_cgroup *cgroup)
{
	uint64_t digits;

	if (getrandom(&digits, sizeof(digits), 0) != (ssize_t)sizeof(digits))
		return -1;
	(void)snprintf(cgroup->name, sizeof(cgroup->name), HB_CGROUP_PREFIX "%016llx",
		       (unsigned long long)digits);
	if (mkdirat(cgroup->place, cgroup->name, 0755) < 0)
		return errno == EEXIST ? 0 : -1;
	cgroup->folder = open_folder(cgroup->place, cgroup->name);
	if (cgroup->folder >= 0 && flock(cgroup->folder, LOCK_EX | LOCK_NB) == 0 &&
	    still_there(cgroup->place, cgroup->name, cgroup->folder))
		return 1;

	int error = errno;

	(void)closing(0, cgroup->folder);
	cgroup->folder = -1;
	if (error == ENOENT || error == EWOULDBLOCK || error == ENODEV)
		return 0;
	/* The name stays ours: whoever reclaims it meanwhile was faster, and that is as good. */
	(void)unlinkat(cgroup->place, cgroup->name, AT_REMOVEDIR);
	errno = error;
	return -1;
}

/* Where children of the place do not have the controller of `file` yet, it is switched on. */
static int have(const struct hb_cgroup *cgroup, const char *file, const char *controller)
{
	if (faccessat(cgroup->folder, file, F_OK, 0) == 0)
		return 0;
	return write_text(cgroup->place, "cgroup.subtree_control", controller);
}

int cgroup_make(const struct hb_step *step, struct hb_cgroup *cgroup)
{
	uint64_t flags = step->field[2].number;
	struct statfs kind;
	int made = 0;

	cgroup->version = (uint32_t)step->field[1].number;
	cgroup->place = open(step->field[0].string, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup->place < 0 || fstatfs(cgroup->place, &kind) < 0)
		return -1;
	if (kind.f_type != (cgroup->version == 2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC)) {
		errno = ENOTSUP;
		return -1;
	}
	for (int i = 0; i < TRIES && made == 0; i++)
		made = make_once(cgroup);
	if (made == 0)
		errno = EBUSY;
	if (made != 1)
		return -1;
	if (cgroup->version == 1) {
		/* Opened by us: whoever opened it is who is asked whether init may be moved. */
		cgroup->tasks = openat(cgroup->folder, "tasks", O_WRONLY | O_CLOEXEC);
		return cgroup->tasks < 0 ? -1 : 0;
	}
	if ((flags & HB_CGROUP_DELEGATE) != 0 && have(cgroup, "memory.max", "+memory") < 0)
		return -1;
	return (flags & HB_CGROUP_DELEGATE_CPU) != 0 ? have(cgroup, "cpu.max", "+cpu") : 0;
}

int cgroup_limit(const struct hb_cgroup *cgroup, const struct hb_step *step)
{
	int absent = (step->field[2].number & HB_CGROUP_LIMIT_IF_THERE) != 0;

	if (number_write(cgroup->folder, step->field[0].string, step->field[1].number) == 0)
		return 0;
	return absent && errno == ENOENT ? 0 : -1;
}

int cgroup_events(const struct hb_cgroup *cgroup)
{
	char text[32];
	char seen[512];

	if (cgroup->version == 2) {
		int fd = openat(cgroup->folder, "memory.events", O_RDONLY | O_CLOEXEC);

		/* What is reported is a change since the last read. */
		return fd >= 0 && read(fd, seen, sizeof(seen)) < 0 ? closing(-1, fd) : fd;
	}

	int events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int control = openat(cgroup->folder, "memory.oom_control", O_RDONLY | O_CLOEXEC);

	(void)snprintf(text, sizeof(text), "%d %d", events, control);
	if (events < 0 || control < 0 ||
	    write_text(cgroup->folder, "cgroup.event_control", text) < 0) {
		(void)closing(-1, events);
		events = -1;
	}
	return closing(events, control);
}

void cgroup_events_seen(const struct hb_cgroup *cgroup, int events)
{
	char seen[512];

	/* Nothing there to read: it was a false alarm, and the next look tells. */
	if (cgroup->version == 2)
		(void)!pread(events, seen, sizeof(seen), 0);
	else
		(void)!read(events, seen, sizeof(uint64_t));
}

uint64_t cgroup_pressed(const struct hb_cgroup *cgroup)
{
	uint64_t memory = 0;
	uint64_t both = 0;

	if (cgroup->version == 2) {
		(void)number_read(cgroup->folder, "memory.events", "max ", &memory);
		return memory;
	}
	/* Whichever of the two limits is reached first counts; a kernel may lack the second. */
	(void)number_read(cgroup->folder, "memory.failcnt", NULL, &memory);
	(void)number_read(cgroup->folder, "memory.memsw.failcnt", NULL, &both);
	return memory + both;
}

uint64_t cgroup_throttled(const struct hb_cgroup *cgroup)
{
	uint64_t periods = 0;

	(void)number_read(cgroup->folder, "cpu.stat", "nr_throttled ", &periods);
	return periods;
}

uint64_t cgroup_kills(const struct hb_cgroup *cgroup)
{
	int second = cgroup->version == 2;
	const char *file = second ? "memory.events" : "memory.oom_control";
	uint64_t kills = 0;
	uint64_t full = 0;
	uint64_t peak = 0;

	/* "oom_kill_disable" begins alike, so the blank behind the name counts. */
	if (number_read(cgroup->folder, file, "oom_kill ", &kills) < 0)
		return 0;
	/* The kernel counts what a limit further out has killed, too: ours was never reached then.
	 * Version 1 does not count that on every kernel, but the most that was used is near it. */
	if (second)
		return number_read(cgroup->folder, file, "oom ", &full) == 0 && full > 0 ? kills : 0;
	if (number_read(cgroup->folder, "memory.limit_in_bytes", NULL, &full) < 0 ||
	    number_read(cgroup->folder, "memory.max_usage_in_bytes", NULL, &peak) < 0)
		return 0;
	return peak >= full - full / 8 ? kills : 0;
}

void cgroup_kill(const struct hb_cgroup *cgroup)
{
	/* ENOENT: version 1, or a kernel before 5.14. Killing init has ended them all anyway. */
	if (cgroup->folder >= 0 && cgroup->version == 2)
		(void)number_write(cgroup->folder, "cgroup.kill", 1);
}

void cgroup_remove(struct hb_cgroup *cgroup)
{
	static const struct timespec millisecond = {.tv_nsec = 1000000};

	/* EBUSY: the last process is a moment from being gone. */
	for (int i = 0; cgroup->folder >= 0 && i < REMOVE_TRIES; i++) {
		if (unlinkat(cgroup->place, cgroup->name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			break;
		(void)nanosleep(&millisecond, NULL);
	}
	(void)closing(0, cgroup->tasks);
	(void)closing(0, cgroup->folder);
	(void)closing(0, cgroup->place);
	cgroup->tasks = -1;
	cgroup->folder = -1;
	cgroup->place = -1;
}

void cgroup_reclaim(const struct hb_cgroup *cgroup)
{
	/* A descriptor of its own: the position in a directory belongs to the open file. */
	int again = open_folder(cgroup->place, ".");
	DIR *list = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;

	if (list == NULL) {
		(void)closing(0, again);
		return;
	}
	while ((entry = readdir(list)) != NULL) {
		if (strncmp(entry->d_name, HB_CGROUP_PREFIX, strlen(HB_CGROUP_PREFIX)) != 0 ||
		    strcmp(entry->d_name, cgroup->name) == 0)
			continue;

		int folder = open_folder(cgroup->place, entry->d_name);

		/* EBUSY: its processes have not all ended; ENOENT: another launch was faster. */
		if (folder >= 0 && flock(folder, LOCK_EX | LOCK_NB) == 0)
			(void)unlinkat(cgroup->place, entry->d_name, AT_REMOVEDIR);
		(void)closing(0, folder);
	}
	(void)closedir(list);
}
