/* Attempts on other processes: signals, tracing, their memory and descriptors, outliving.
 *
 * Run by: main.c. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYS_PIDFD_SEND_SIGNAL 424
#define SYS_PIDFD_OPEN 434
#define SYS_PIDFD_GETFD 438

/* kill PID SIGNAL */
static int try_kill(int argc, char **argv)
{
	(void)argc;
	return kill((pid_t)number(argv[1]), (int)number(argv[2])) < 0 ? errno : 0;
}

/* tgkill PID SIGNAL */
static int try_tgkill(int argc, char **argv)
{
	pid_t pid = (pid_t)number(argv[1]);

	(void)argc;
	return syscall(SYS_tgkill, pid, pid, number(argv[2])) < 0 ? errno : 0;
}

/* sigqueue PID SIGNAL */
static int try_sigqueue(int argc, char **argv)
{
	union sigval value = { .sival_int = 0 };

	(void)argc;
	return sigqueue((pid_t)number(argv[1]), (int)number(argv[2]), value) < 0 ? errno : 0;
}

/* pidfd-kill PID SIGNAL */
static int try_pidfd_kill(int argc, char **argv)
{
	long file = syscall(SYS_PIDFD_OPEN, number(argv[1]), 0);

	(void)argc;
	if (file < 0)
		return errno;
	return syscall(SYS_PIDFD_SEND_SIGNAL, file, number(argv[2]), NULL, 0) < 0 ? errno : 0;
}

/* kill-everybody SIGNAL: all that this process may reach but itself */
static int try_kill_everybody(int argc, char **argv)
{
	(void)argc;
	if (kill(-1, (int)number(argv[1])) < 0)
		return errno;
	printf("sent\n");
	return 0;
}

/* kill-range FIRST LAST SIGNAL: every number but the own; prints whom it reached */
static int try_kill_range(int argc, char **argv)
{
	int result = ESRCH;

	(void)argc;
	for (unsigned long pid = number(argv[1]); pid <= number(argv[2]); pid++) {
		if ((pid_t)pid == getpid() || (pid_t)pid == getppid())
			continue;
		if (kill((pid_t)pid, (int)number(argv[3])) == 0) {
			printf("%lu\n", pid);
			result = 0;
		}
	}
	return result;
}

/* ptrace PID attach|seize */
static int try_ptrace(int argc, char **argv)
{
	(void)argc;
	return ptrace(strcmp(argv[2], "seize") == 0 ? PTRACE_SEIZE : PTRACE_ATTACH,
		      (pid_t)number(argv[1]), NULL, NULL) < 0 ?
		       errno :
		       0;
}

static int try_traceme(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static pid_t sleeping_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		sleep(5);
		_exit(0);
	}
	return child;
}

/* on-child seize|attach|vmread|vmwrite|kcmp|getfd|madvise|mem: the own child as the target,
 * which needs no capability: only a filter can refuse */
static int try_on_child(int argc, char **argv)
{
	char byte = 'x';
	struct iovec own = { &byte, 1 };
	struct iovec other = { &byte, 1 };
	const char *how = argv[1];
	pid_t child = sleeping_child();
	long result = -1;
	int stopped = EINVAL;

	(void)argc;
	if (child < 0)
		return errno;
	if (strcmp(how, "seize") == 0) {
		result = ptrace(PTRACE_SEIZE, child, NULL, NULL);
	} else if (strcmp(how, "attach") == 0) {
		result = ptrace(PTRACE_ATTACH, child, NULL, NULL);
	} else if (strcmp(how, "vmread") == 0) {
		result = syscall(SYS_process_vm_readv, child, &own, 1, &other, 1, 0);
	} else if (strcmp(how, "vmwrite") == 0) {
		result = syscall(SYS_process_vm_writev, child, &own, 1, &other, 1, 0);
	} else if (strcmp(how, "kcmp") == 0) {
		result = syscall(SYS_kcmp, getpid(), child, 0, 0, 0);
	} else if (strcmp(how, "mem") == 0) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/mem", child);
		result = open(path, O_RDWR);
	} else {
		long file = syscall(SYS_PIDFD_OPEN, child, 0);

		result = strcmp(how, "getfd") == 0 ? syscall(SYS_PIDFD_GETFD, file, 0, 0)
						   : syscall(440, file, &other, 1, 20, 0);
	}
	stopped = errno;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return result < 0 ? stopped : 0;
}

/* vmread PID: the remote address is bad, so EFAULT means that the door was open */
static int try_vmread(int argc, char **argv)
{
	char byte;
	struct iovec own = { &byte, 1 };
	struct iovec other = { BAD_POINTER, 1 };

	(void)argc;
	return syscall(SYS_process_vm_readv, number(argv[1]), &own, 1, &other, 1, 0) < 0 ? errno : 0;
}

/* pidfd-getfd PID FD */
static int try_pidfd_getfd(int argc, char **argv)
{
	long file = syscall(SYS_PIDFD_OPEN, number(argv[1]), 0);

	(void)argc;
	if (file < 0)
		return errno;
	return syscall(SYS_PIDFD_GETFD, file, number(argv[2]), 0) < 0 ? errno : 0;
}

/* setns PATH */
static int try_setns(int argc, char **argv)
{
	int file = open(argv[1], O_RDONLY);

	(void)argc;
	if (file < 0)
		return errno;
	return syscall(SYS_setns, file, 0) < 0 ? errno : 0;
}

/* setns-pidfd PID FLAGS */
static int try_setns_pidfd(int argc, char **argv)
{
	long file = syscall(SYS_PIDFD_OPEN, number(argv[1]), 0);

	(void)argc;
	if (file < 0)
		return errno;
	return syscall(SYS_setns, file, number(argv[2])) < 0 ? errno : 0;
}

static void detach_from_everything(void)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
}

/* daemon MARK: leaves a grandchild behind that ignores everything; MARK shows in its
 * command line on the host */
static int try_daemon(int argc, char **argv)
{
	pid_t child = fork();

	(void)argc;
	(void)argv;
	if (child < 0)
		return errno;
	if (child == 0) {
		if (fork() != 0)
			_exit(0);
		detach_from_everything();
		sleep(120);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return 0;
}

/* linger MARK: a tree of processes that ignore SIGTERM; says "ready" and stays */
static int try_linger(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();

		if (child == 0) {
			if (i == 2)
				setsid();
			sleep(120);
			_exit(0);
		}
	}
	printf("ready\n");
	fflush(stdout);
	sleep(120);
	return 0;
}

static int count_zombies(void)
{
	DIR *directory = opendir("/proc");
	int zombies = 0;

	if (directory == NULL)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		char path[300];
		char line[256];
		FILE *file;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(line, sizeof(line), file) != NULL && strstr(line, ") Z ") != NULL)
			zombies++;
		fclose(file);
	}
	closedir(directory);
	return zombies;
}

/* zombies COUNT: orphans, which init must reap; 0 if ten or more stay */
static int try_zombies(int argc, char **argv)
{
	int zombies = 0;

	(void)argc;
	for (unsigned long i = 0; i < number(argv[1]); i++) {
		pid_t child = fork();

		if (child < 0)
			return errno;
		if (child == 0) {
			if (fork() == 0)
				usleep(1000);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	for (int patience = 0; patience < 20; patience++) {
		zombies = count_zombies();
		if (zombies == 0)
			return ECHILD;
		usleep(50000);
	}
	printf("zombies=%d\n", zombies);
	return 0;
}

/* exit CODE and die SIGNAL: how the launcher reports the end */
static int try_exit(int argc, char **argv)
{
	(void)argc;
	return (int)number(argv[1]);
}

static int try_die(int argc, char **argv)
{
	(void)argc;
	signal((int)number(argv[1]), SIG_DFL);
	raise((int)number(argv[1]));
	return 0;
}

/* stop-everybody: SIGSTOP to all and to itself */
static int try_stop_everybody(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("ready\n");
	fflush(stdout);
	kill(-1, SIGSTOP);
	raise(SIGSTOP);
	sleep(120);
	return 0;
}

const struct attempt process_attempts[] = {
	{ "kill", 2, try_kill },
	{ "tgkill", 2, try_tgkill },
	{ "sigqueue", 2, try_sigqueue },
	{ "pidfd-kill", 2, try_pidfd_kill },
	{ "kill-everybody", 1, try_kill_everybody },
	{ "kill-range", 3, try_kill_range },
	{ "ptrace", 2, try_ptrace },
	{ "traceme", 0, try_traceme },
	{ "on-child", 1, try_on_child },
	{ "vmread", 1, try_vmread },
	{ "pidfd-getfd", 2, try_pidfd_getfd },
	{ "setns", 1, try_setns },
	{ "setns-pidfd", 2, try_setns_pidfd },
	{ "daemon", 1, try_daemon },
	{ "linger", 1, try_linger },
	{ "zombies", 1, try_zombies },
	{ "exit", 1, try_exit },
	{ "die", 1, try_die },
	{ "stop-everybody", 0, try_stop_everybody },
	{ NULL, 0, NULL },
};
