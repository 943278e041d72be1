/* System calls in a loop: prints nanoseconds for each.
 *
 * Run by: bench/loops.py, inside and outside; bench/filters.py, under a filter of its own.
 * usage: loops getpid|read|openat|futex|fork COUNT [FILTER]
 * FILTER: a program for seccomp(2), as array of struct sock_filter, that is loaded first. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(125);
}

static void load(const char *path)
{
	static struct sock_filter code[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, code, sizeof(code));
	struct sock_fprog program = {.filter = code};

	check(length > 0 && close(fd) == 0, path);
	program.len = (unsigned short)((size_t)length / sizeof(code[0]));
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp");
}

static void once(const char *call, int zero, char **self)
{
	static uint32_t word;
	static char byte[64];

	switch (call[0]) {
	case 'g':
		(void)syscall(SYS_getpid);
		return;
	case 'r':
		check(read(zero, byte, sizeof(byte)) == (ssize_t)sizeof(byte), "read");
		return;
	case 'o': {
		int fd = openat(AT_FDCWD, "/usr/bin/true", O_RDONLY | O_CLOEXEC);

		check(fd >= 0 && close(fd) == 0, "openat");
		return;
	}
	case 'f':
		if (call[1] == 'u') {
			check(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0, "futex");
		} else {
			pid_t child = fork();
			int status;

			if (child == 0) {
				(void)execv(self[0], self);
				_exit(1);
			}
			check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "fork");
		}
		return;
	default:
		check(0, "usage: loops getpid|read|openat|futex|fork COUNT [FILTER]");
	}
}

int main(int argc, char **argv)
{
	char *self[] = {argv[0], NULL};
	struct timespec began, ended;
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	if (argc == 1)
		return 0;
	check(argc > 2 && zero >= 0, "usage: loops getpid|read|openat|futex|fork COUNT [FILTER]");
	if (argc > 3)
		load(argv[3]);

	long count = atol(argv[2]);

	for (long i = 0; i < count / 10 + 1; i++)
		once(argv[1], zero, self);
	check(clock_gettime(CLOCK_MONOTONIC, &began) == 0, "clock_gettime");
	for (long i = 0; i < count; i++)
		once(argv[1], zero, self);
	check(clock_gettime(CLOCK_MONOTONIC, &ended) == 0, "clock_gettime");
	printf("%.1f\n", ((double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec)) / (double)count);
	return 0;
}
