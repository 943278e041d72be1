/* Attempts on limits: more processes, memory, files and time than were granted.
 *
 * Run by: main.c. Nothing is used up outside: memory is mapped and not touched, processes wait
 * and are ended again. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 8192
#define STACK 16384

static pid_t made[MOST];

/* forks COUNT fork|vfork-like|clone */
static int try_forks(int argc, char **argv)
{
	int wanted = (int)number(argv[1]);
	int count = 0;
	int error = 0;

	(void)argc;
	for (; count < wanted && count < MOST; count++) {
		pid_t child = strcmp(argv[2], "fork") == 0 ?
				      fork() :
				      (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

		if (child < 0) {
			error = errno;
			break;
		}
		if (child == 0) {
			pause();
			_exit(0);
		}
		made[count] = child;
	}
	for (int i = 0; i < count; i++)
		kill(made[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	printf("%d\n", count);
	return error;
}

static void *idle(void *unused)
{
	(void)unused;
	pause();
	return NULL;
}

/* threads COUNT */
static int try_threads(int argc, char **argv)
{
	int wanted = (int)number(argv[1]);
	int count = 0;
	int error = 0;
	pthread_attr_t small;
	pthread_t thread;

	(void)argc;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK);
	for (; count < wanted && error == 0; count++)
		error = pthread_create(&thread, &small, idle, NULL);
	printf("%d\n", count);
	return error;
}

/* map-memory BYTES private|heap: no page of it is touched */
static int try_map_memory(int argc, char **argv)
{
	unsigned long bytes = number(argv[1]);

	(void)argc;
	if (strcmp(argv[2], "heap") == 0)
		return sbrk((intptr_t)bytes) == (void *)-1 ? errno : 0;
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) ==
			       MAP_FAILED ?
		       errno :
		       0;
}

/* lock-memory BYTES */
static int try_lock_memory(int argc, char **argv)
{
	unsigned long bytes = number(argv[1]);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	return memory == MAP_FAILED || mlock(memory, bytes) < 0 ? errno : 0;
}

/* open-files COUNT */
static int try_open_files(int argc, char **argv)
{
	int wanted = (int)number(argv[1]);

	(void)argc;
	for (int i = 0; i < wanted; i++)
		if (dup(0) < 0)
			return errno;
	return 0;
}

/* grow PATH BYTES: a sparse file of this size */
static int try_grow(int argc, char **argv)
{
	int fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	int error;

	(void)argc;
	signal(SIGXFSZ, SIG_IGN);
	if (fd < 0)
		return errno;
	error = ftruncate(fd, (off_t)number(argv[2])) < 0 ? errno : 0;
	unlink(argv[1]);
	return error;
}

/* reserve DIRECTORY BYTES: blocks for a nameless file; the kernel refuses before it takes any */
static int try_reserve(int argc, char **argv)
{
	char path[4200];
	int fd;
	int error;

	(void)argc;
	signal(SIGXFSZ, SIG_IGN);
	snprintf(path, sizeof(path), "%s/reserve", argv[1]);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return errno;
	error = fallocate(fd, 0, 0, (off_t)number(argv[2])) < 0 ? errno : 0;
	unlink(path);
	return error;
}

/* cpus: on how many this process may run */
static int try_cpus(int argc, char **argv)
{
	cpu_set_t set;

	(void)argc;
	(void)argv;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return errno;
	printf("%d\n", CPU_COUNT(&set));
	return 0;
}

/* limit RESOURCE: soft and hard */
static int try_limit(int argc, char **argv)
{
	struct rlimit limit;

	(void)argc;
	if (getrlimit((__rlimit_resource_t)number(argv[1]), &limit) < 0)
		return errno;
	printf("%lu %lu\n", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
	return 0;
}

const struct attempt resource_attempts[] = {
	{ "forks", 2, try_forks },
	{ "threads", 1, try_threads },
	{ "map-memory", 2, try_map_memory },
	{ "lock-memory", 1, try_lock_memory },
	{ "open-files", 1, try_open_files },
	{ "grow", 2, try_grow },
	{ "reserve", 2, try_reserve },
	{ "cpus", 0, try_cpus },
	{ "limit", 1, try_limit },
	{ NULL, 0, NULL },
};
