/* Attacks on a filter that tells. Ends with 0 if nothing that is refused ever happened.
 *
 * Run by: tests/attack/test_notifications.py, inside and, as a control, outside.
 *   unshare   one new user namespace: works outside
 *   override  a filter of its own that asks a listener which is not there, then one that is
 *   signals   refused calls under a hail of signals, in many threads
 *   killed    children killed while their calls wait */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int happened;
static volatile long flipping; /* what a racing thread writes over while a call waits */

static int refused_call(void)
{
	long result = syscall(SYS_mount, &flipping, "/tmp", "tmpfs", 0, 0);

	if (result == 0 || (errno != EPERM && errno != EINTR && errno != ENOSYS))
		return printf("mount: %ld %s\n", result, strerror(errno)), 1;
	result = syscall(SYS_unshare, CLONE_NEWUSER);
	if (result == 0 || (errno != EPERM && errno != EINTR && errno != ENOSYS))
		return printf("unshare: %ld %s\n", result, strerror(errno)), 1;
	result = syscall(SYS_keyctl, 0, -3, 0);
	if (result >= 0 || (errno != EPERM && errno != EINTR && errno != ENOSYS))
		return printf("keyctl: %ld %s\n", result, strerror(errno)), 1;
	return 0;
}

static void *calls(void *unused)
{
	(void)unused;
	for (int i = 0; i < 300; i++) {
		flipping = i % 2 ? -1 : 0x2f;
		happened |= refused_call();
	}
	return 0;
}

static void nothing(int signal)
{
	(void)signal;
}

static int under_signals(void)
{
	struct sigaction action = {.sa_handler = nothing};
	struct itimerval often = {{0, 100}, {0, 100}};
	pthread_t thread[8];

	sigaction(SIGALRM, &action, 0);
	setitimer(ITIMER_REAL, &often, 0);
	for (int i = 0; i < 8; i++)
		pthread_create(&thread[i], 0, calls, 0);
	for (int i = 0; i < 8; i++)
		pthread_join(thread[i], 0);
	return happened;
}

static int killed(void)
{
	for (int i = 0; i < 200; i++) {
		pid_t child = fork();

		if (child == 0)
			for (;;)
				if (refused_call())
					_exit(1);
		usleep((useconds_t)(i * 7 % 500));
		kill(child, SIGKILL);
		waitpid(child, 0, 0);
	}
	return refused_call();
}

static int load(unsigned int flags)
{
	/* Newer than the sandbox's, and of two that ask the kernel takes the newer one. */
	struct sock_filter steps[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 2, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_keyctl, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 6, .filter = steps};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int override(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (load(SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0)
		return puts("a listener of its own"), 1;
	if (load(0) < 0)
		return puts("no filter of its own at all"), 2;
	if (load(SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0)
		return puts("a listener of its own"), 1;
	return refused_call();
}

int main(int count, char **words)
{
	const char *how = count > 1 ? words[1] : "";

	if (strcmp(how, "unshare") == 0)
		return unshare(CLONE_NEWUSER) == 0 ? 1 : 0;
	if (strcmp(how, "listener") == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		return load(SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0;
	}
	if (strcmp(how, "override") == 0)
		return override();
	if (strcmp(how, "signals") == 0)
		return under_signals();
	if (strcmp(how, "killed") == 0)
		return killed();
	return 3;
}
