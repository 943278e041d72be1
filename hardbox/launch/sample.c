/* What a sandbox uses, seen from outside: a walk from init through the children of each thread, as
 * /proc tells them. Orphans become init's children, so nothing inside can leave the tree.
 *
 * Numbers of processes that end during the walk could be reused only if all others were used up in
 * between; /proc offers nothing that a walk could hold on to more cheaply.
 *
 * Run by: the supervisor. */
#include "sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "numbers.h"

/* Fields of /proc/PID/stat behind the name, counted from 0: the state (proc(5) counts it as 3). */
#define STAT_USER 11
#define STAT_SYSTEM 12
#define STAT_CHILDREN_USER 13
#define STAT_CHILDREN_SYSTEM 14
#define STAT_THREADS 17
#define STAT_RESIDENT 21
#define STAT_FIELDS 22

/* How often a walk that has lost a process looks at init's children again. */
#define AGAIN 3

/* The tree, parents before children; one thread, never two walks at once. */
static pid_t found[HB_SAMPLE_PROCESSES];
static size_t found_count;
static int again; /* processes may be noted that were noted before */

static int note(pid_t pid)
{
	for (size_t i = 0; again && i < found_count; i++)
		if (found[i] == pid)
			return 0;
	if (found_count == HB_SAMPLE_PROCESSES) {
		errno = E2BIG;
		return -1;
	}
	found[found_count++] = pid;
	return 0;
}

/* Note the children of one thread; "number number ... ", of any length. */
static int note_children(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	pid_t pid = 0;
	ssize_t got;
	int result = 0;

	if (fd < 0)
		return -1;
	while (result == 0 && (got = read(fd, text, sizeof(text))) != 0) {
		if (got < 0 && errno != EINTR)
			result = -1;
		for (ssize_t i = 0; i < got && result == 0; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
			} else if (pid != 0) {
				result = note(pid);
				pid = 0;
			}
		}
	}
	return closing(result, fd);
}

/* The children of every thread of a process. */
static int note_all_children(pid_t pid, uint64_t threads)
{
	char path[64];
	DIR *tasks = NULL;
	const struct dirent *entry;
	int result = 0;

	if (threads <= 1) {
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
		return note_children(path);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks != NULL && result == 0 && (entry = readdir(tasks)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid,
			       entry->d_name);
		/* A thread that has just ended has handed its children to another one. */
		if (note_children(path) < 0 && errno == E2BIG)
			result = -1;
	}
	return tasks == NULL ? -1 : (closedir(tasks), result);
}

/* The numbers of /proc/PID/stat, and the name, which may hold any byte but stands in parentheses. */
static int read_stat(pid_t pid, uint64_t numbers[STAT_FIELDS], char name[16])
{
	char path[32];
	char text[1024];
	char *from;
	char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (text_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return -1;
	from = strchr(text, '(');
	at = strrchr(text, ')');
	if (from == NULL || at == NULL || at < from) {
		errno = ENODATA;
		return -1;
	}
	*at = '\0';
	(void)snprintf(name, 16, "%s", from + 1);
	at++;
	for (int i = 0; i < STAT_FIELDS; i++) {
		if (*at == ' ')
			at++;
		numbers[i] = strtoull(at, NULL, 10);
		at += strcspn(at, " ");
	}
	return 0;
}

/* A thread of the process that has not ended, where the first one has: its own numbers are 0 then. */
static pid_t live_thread(pid_t pid, uint64_t numbers[STAT_FIELDS], char name[16])
{
	char path[32];
	DIR *tasks;
	const struct dirent *entry;
	pid_t found_live = pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks != NULL && found_live == pid && (entry = readdir(tasks)) != NULL) {
		pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

		if (thread > 0 && thread != pid && read_stat(thread, numbers, name) == 0 &&
		    numbers[STAT_RESIDENT] > 0)
			found_live = thread;
	}
	if (tasks != NULL)
		(void)closedir(tasks);
	return found_live;
}

static uint64_t plus(const char *text, const char *key)
{
	uint64_t number = 0;

	return number_find(text, key, &number) < 0 ? 0 : number;
}

/* Shared pages divided by how many processes map them: of what is no file on a disk. A process that
 * does not let us look counts with the bound. */
static uint64_t exact(pid_t pid, uint64_t bound)
{
	char path[48];
	char text[2048];

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	if (text_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : bound;
	if (strstr(text, "\nPss_Anon:") == NULL)
		return strstr(text, "\nPss:") == NULL ? bound : plus(text, "Pss:") * 1024;
	return (plus(text, "Pss_Anon:") + plus(text, "Pss_Shmem:") + plus(text, "SwapPss:")) * 1024;
}

static void add_io(pid_t pid, struct hb_sample *sample)
{
	char path[32];
	char text[512];

	(void)snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	/* Closed to a caller who may not trace it: init, for an ordinary user. */
	if (text_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return;
	sample->read += plus(text, "rchar:");
	sample->written += plus(text, "wchar:");
}

/* Take what has been noted from `from` on, and what is found on the way. 0, 1 if a process was lost,
 * or -1 and errno. */
static int walk(size_t from, enum hb_sample_depth depth, struct hb_sample *sample)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int lost = 0;

	for (size_t i = from; i < found_count; i++) {
		uint64_t stat[STAT_FIELDS];
		char name[16];
		pid_t pid = found[i];

		if (read_stat(pid, stat, name) < 0 || note_all_children(pid, stat[STAT_THREADS]) < 0) {
			if (i == 0 || errno == E2BIG)
				return -1;
			lost = 1;
			continue;
		}
		sample->ticks += stat[STAT_USER] + stat[STAT_SYSTEM] + stat[STAT_CHILDREN_USER] +
				 stat[STAT_CHILDREN_SYSTEM];
		if (depth == HB_SAMPLE_CURVES)
			add_io(pid, sample);
		if (i == 0)
			continue;

		uint64_t threads = stat[STAT_THREADS];

		if (stat[STAT_RESIDENT] == 0 && threads > 1)
			pid = live_thread(pid, stat, name);

		uint64_t memory = stat[STAT_RESIDENT] * page;

		if (depth == HB_SAMPLE_EXACT)
			memory = exact(pid, memory);
		sample->memory += memory;
		sample->tasks += threads;
		if (memory >= sample->most) {
			sample->most = memory;
			memcpy(sample->name, name, sizeof(name));
		}
	}
	return lost;
}

int sample_take(pid_t init, enum hb_sample_depth depth, struct hb_sample *sample)
{
	memset(sample, 0, sizeof(*sample));
	found_count = 0;
	again = 0;
	if (note(init) < 0)
		return -1;

	int lost = walk(0, depth, sample);

	/* The children of a process that has ended meanwhile are init's now. */
	for (again = 1; lost == 1 && again <= AGAIN; again++) {
		size_t from = found_count;

		if (note_all_children(init, 1) < 0)
			return -1;
		lost = walk(from, depth, sample);
	}
	return lost < 0 ? -1 : 0;
}
