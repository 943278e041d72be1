/* Attempts by system call number: bad pointers and descriptors tell "reached the kernel"
 * (EFAULT, EBADF, EINVAL...) from "filtered" (EPERM, ENOSYS, SIGSYS) without side effects.
 *
 * Run by: main.c. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL_ARGUMENTS 6

static unsigned long page[1024];

/* buf: zeroed memory; bad: an address that is never mapped; s:TEXT: a string */
static unsigned long argument(char *text)
{
	if (strcmp(text, "buf") == 0)
		return (unsigned long)page;
	if (strcmp(text, "bad") == 0)
		return (unsigned long)BAD_POINTER;
	if (strncmp(text, "s:", 2) == 0)
		return (unsigned long)(text + 2);
	return number(text);
}

/* sys NUMBER ARG... */
static int try_sys(int argc, char **argv)
{
	unsigned long a[CALL_ARGUMENTS] = { 0 };
	long result;

	for (int i = 0; i < CALL_ARGUMENTS && i + 2 < argc; i++)
		a[i] = argument(argv[i + 2]);
	result = syscall((long)number(argv[1]), a[0], a[1], a[2], a[3], a[4], a[5]);
	if (result < 0)
		return errno;
	printf("returned %ld\n", result);
	return 0;
}

#ifdef __x86_64__
/* int80 NUMBER ARG...: i386 calls from a 64-bit program; pointers are below 4 GiB or bad */
static int try_int80(int argc, char **argv)
{
	unsigned long a[5] = { 0 };
	long result;

	for (int i = 0; i < 5 && i + 2 < argc; i++)
		a[i] = argument(argv[i + 2]);
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number(argv[1])), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			 : "r8", "r9", "r10", "r11", "memory");
	result = (int32_t)result;
	if (result < 0 && result > -4096)
		return (int)-result;
	printf("returned %ld\n", result);
	return 0;
}
#endif

/* clone FLAGS: raw clone; the child only ends */
static int try_clone(int argc, char **argv)
{
	long child = syscall(SYS_clone, number(argv[1]) | SIGCHLD, NULL, NULL, NULL, NULL);

	(void)argc;
	if (child == 0)
		_exit(0);
	if (child < 0)
		return errno;
	waitpid((pid_t)child, NULL, 0);
	return 0;
}

/* clone3 FLAGS */
static int try_clone3(int argc, char **argv)
{
	uint64_t arguments[11] = { 0 };
	long child;

	(void)argc;
	arguments[0] = number(argv[1]);
	arguments[4] = SIGCHLD;
	child = syscall(435, arguments, sizeof(arguments));
	if (child == 0)
		_exit(0);
	if (child < 0)
		return errno;
	waitpid((pid_t)child, NULL, 0);
	return 0;
}

/* openat2 PATH */
static int try_openat2(int argc, char **argv)
{
	uint64_t how[3] = { O_PATH, 0, 0 };

	(void)argc;
	return syscall(437, AT_FDCWD, argv[1], how, sizeof(how)) < 0 ? errno : 0;
}

static int sweep_one(long call)
{
	struct itimerval soon = { { 0, 0 }, { 0, 300000 } };
	int result;

	close(0);
	setitimer(ITIMER_REAL, &soon, NULL);
	result = syscall(call, -1L, -1L, -1L, -1L, -1L, -1L) < 0 ? errno : 0;
	_exit(result);
}

/* sweep FIRST LAST: every number with arguments of all ones, a process each.
 * Calls that end or duplicate the caller for good are left out by the corpus' model. */
static int try_sweep(int argc, char **argv)
{
	long last = (long)number(argv[2]);

	(void)argc;
	alarm(60);
	for (long call = (long)number(argv[1]); call <= last; call++) {
		int status = 0;
		pid_t child = fork();

		if (child < 0)
			return errno;
		if (child == 0)
			sweep_one(call);
		if (waitpid(child, &status, 0) < 0)
			return errno;
		printf("%ld %d %d\n", call, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
	return 0;
}

/* map ADDRESS PROT: anonymous memory, fixed where an address is given */
static int try_map(int argc, char **argv)
{
	unsigned long address = number(argv[1]);
	int fixed = argc > 3 ? MAP_FIXED : 0;

	return mmap((void *)address, 4096, (int)number(argv[2]), MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1,
		    0) == MAP_FAILED ?
		       errno :
		       0;
}

/* relax allow|notify|spec: a filter of the job's own, then a call that the first one refuses */
static int try_relax(int argc, char **argv)
{
	struct {
		unsigned short code;
		unsigned char jt, jf;
		unsigned int k;
	} allow[1] = { { 0x06, 0, 0, 0x7fff0000 } };
	struct {
		unsigned short length;
		void *filter;
	} program = { 1, allow };
	unsigned int flags = argc > 2 ? (unsigned int)number(argv[2]) : 0;
	long result;

	/* PR_SET_NO_NEW_PRIVS, then SECCOMP_SET_MODE_FILTER, then PR_SET_SECCOMP */
	syscall(SYS_prctl, 38, 1, 0, 0, 0);
	if (strcmp(argv[1], "prctl") == 0)
		result = syscall(SYS_prctl, 22, 2, &program, 0, 0);
	else
		result = syscall(SYS_seccomp, 1, flags, &program);
	if (result < 0)
		return errno;
	/* umount2 on a bad pointer: EFAULT is the kernel's answer, EPERM a filter's. */
	syscall(SYS_umount2, BAD_POINTER, 0);
	printf("after %d\n", errno);
	return 0;
}

const struct attempt call_attempts[] = {
	{ "sys", 1, try_sys },
#ifdef __x86_64__
	{ "int80", 1, try_int80 },
#endif
	{ "clone", 1, try_clone },
	{ "clone3", 1, try_clone3 },
	{ "openat2", 1, try_openat2 },
	{ "sweep", 2, try_sweep },
	{ "map", 2, try_map },
	{ "relax", 1, try_relax },
	{ NULL, 0, NULL },
};
