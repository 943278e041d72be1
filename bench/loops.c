/* System calls in a loop: prints nanoseconds for each.
 *
 * Run by: bench/loops.py, inside and outside; bench/filter_cost.py, under a filter of its own.
 * usage: loops getpid|read|openat|futex|fork|xfcntl|load COUNT [FILTER]
 * FILTER: a program for seccomp(2), as array of struct sock_filter, that is loaded first. With "load" the
 * loading itself is what is measured, in a process of its own each time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
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

static double nanoseconds(void)
{
	struct timespec now;

	check(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock_gettime");
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Gives the nanoseconds that the kernel takes. */
static double load(const char *path)
{
	static struct sock_filter code[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, code, sizeof(code));
	struct sock_fprog program = {.filter = code};

	check(length > 0 && close(fd) == 0, path);
	program.len = (unsigned short)((size_t)length / sizeof(code[0]));
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");

	double began = nanoseconds();

	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp");
	return nanoseconds() - began;
}

static double loads(const char *path, long count)
{
	double *sum = mmap(NULL, sizeof(*sum), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	check(sum != MAP_FAILED, "mmap");
	for (long i = 0; i < count; i++) {
		pid_t child = fork();

		if (child == 0) {
			*sum += load(path);
			_exit(0);
		}
		check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "fork");
	}
	return *sum / (double)count;
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
	case 'x':
		check(fcntl(zero, F_GETFD) == FD_CLOEXEC, "fcntl");
		return;
	default:
		check(0, "usage: loops getpid|read|openat|futex|fork|xfcntl|load COUNT [FILTER]");
	}
}

int main(int argc, char **argv)
{
	char *self[] = {argv[0], NULL};
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	if (argc == 1)
		return 0;
	check(argc > 2 && zero >= 0, "usage: loops getpid|read|openat|futex|fork|xfcntl|load COUNT [FILTER]");

	long count = atol(argv[2]);

	if (argv[1][0] == 'l') {
		check(argc > 3, "usage: loops load COUNT FILTER");
		printf("%.1f\n", loads(argv[3], count));
		return 0;
	}
	if (argc > 3)
		(void)load(argv[3]);
	for (long i = 0; i < count / 10 + 1; i++)
		once(argv[1], zero, self);

	double began = nanoseconds();

	for (long i = 0; i < count; i++)
		once(argv[1], zero, self);
	printf("%.1f\n", (nanoseconds() - began) / (double)count);
	return 0;
}
