/* Attempts on ids, capabilities and namespaces, and what can be told about them.
 *
 * Run by: main.c. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3
#define MOST_CAPABILITY 63

static void print_status(const char *path)
{
	static const char *const wanted[] = { "Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp" };
	FILE *file = fopen(path, "r");
	char line[512];

	if (file == NULL) {
		printf("%s unreadable\n", path);
		return;
	}
	printf("process\n");
	while (fgets(line, sizeof(line), file) != NULL)
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
				fputs(line, stdout);
	fclose(file);
}

/* ids: what the kernel says about this process */
static int try_ids(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print_status("/proc/self/status");
	return 0;
}

static int try_exec_ids(int argc, char **argv)
{
	char *arguments[] = { argv[1], "one", "ids", NULL };
	char *environment[] = { NULL };

	(void)argc;
	execve(argv[1], arguments, environment);
	return errno;
}

static void *idle(void *unused)
{
	(void)unused;
	sleep(5);
	return NULL;
}

/* status-of-all: every thread, a child, a grandchild, and a child after exec */
static int try_status_of_all(int argc, char **argv)
{
	pthread_t threads[THREADS];
	DIR *directory;

	(void)argc;
	(void)argv;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, idle, NULL) != 0)
			return EAGAIN;
	directory = opendir("/proc/self/task");
	if (directory == NULL)
		return errno;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		char path[300];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		print_status(path);
	}
	fflush(stdout);
	if (fork() == 0) {
		print_status("/proc/self/status");
		fflush(stdout);
		if (fork() == 0) {
			char *arguments[] = { "probe", "one", "ids", NULL };
			char *environment[] = { NULL };

			print_status("/proc/self/status");
			fflush(stdout);
			execve("/proc/self/exe", arguments, environment);
			_exit(errno);
		}
		wait(NULL);
		_exit(0);
	}
	wait(NULL);
	return 0;
}

/* namespaces: one "kind:[number]" a line */
static int try_namespaces(int argc, char **argv)
{
	static const char *const kinds[] = { "user", "pid", "net", "ipc", "mnt", "uts", "cgroup" };

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[64];
		char target[128];
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		length = readlink(path, target, sizeof(target));
		if (length < 0)
			return errno;
		printf("%.*s\n", (int)length, target);
	}
	return 0;
}

/* fds: every open descriptor and where it leads; 0 if there are more than 0, 1, 2 */
static int try_fds(int argc, char **argv)
{
	DIR *directory = opendir("/proc/self/fd");
	int more = 0;

	(void)argc;
	(void)argv;
	if (directory == NULL)
		return errno;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		char target[4096];
		ssize_t length;
		int file = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || file == dirfd(directory))
			continue;
		length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target));
		printf("%s %.*s\n", entry->d_name, length < 0 ? 0 : (int)length, target);
		more |= file > 2;
	}
	return more ? 0 : EMFILE;
}

/* fds-by-call: the same without /proc, up to 4096 */
static int try_fds_by_call(int argc, char **argv)
{
	int more = 0;

	(void)argc;
	(void)argv;
	for (int file = 3; file < 4096; file++)
		if (fcntl(file, F_GETFD) >= 0) {
			printf("%d\n", file);
			more = 1;
		}
	return more ? 0 : EMFILE;
}

static int write_text(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	if (file < 0)
		return errno;
	return write(file, text, strlen(text)) < 0 ? errno : 0;
}

/* user-namespace unshare|clone|none MAP: a new user namespace, then MAP in uid_map */
static int try_user_namespace(int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[1], "unshare") == 0 && unshare(CLONE_NEWUSER) < 0)
		return errno;
	return write_text("/proc/self/uid_map", argv[2]);
}

/* raise-limit-and-unshare: first /proc/sys/user/max_user_namespaces, then unshare */
static int try_raise_limit_and_unshare(int argc, char **argv)
{
	(void)argc;
	write_text("/proc/sys/user/max_user_namespaces", argv[1]);
	return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

static int set_capabilities(unsigned int wanted, unsigned int inheritable)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { wanted, wanted, inheritable }, { 0, 0, 0 } };

	return syscall(SYS_capset, &head, data) < 0 ? errno : 0;
}

/* capset: CAP_CHOWN in permitted and effective */
static int try_capset(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return set_capabilities(1, 0);
}

/* ambient CAP: inheritable first, then PR_CAP_AMBIENT_RAISE; each step is an attempt */
static int try_ambient(int argc, char **argv)
{
	unsigned long capability = number(argv[1]);

	(void)argc;
	if (capability < 32)
		set_capabilities(1U << capability, 1U << capability);
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0 ? errno : 0;
}

/* bounding: the capabilities that PR_CAPBSET_READ finds, to 63; 0 if there is one */
static int try_bounding(int argc, char **argv)
{
	int result = EPERM;

	(void)argc;
	(void)argv;
	for (int capability = 0; capability <= MOST_CAPABILITY; capability++)
		if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1) {
			printf("%d\n", capability);
			result = 0;
		}
	return result;
}

/* securebits: printed in hexadecimal */
static int try_securebits(int argc, char **argv)
{
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	(void)argc;
	(void)argv;
	if (bits < 0)
		return errno;
	printf("securebits=0x%x\n", (unsigned int)bits);
	return 0;
}

/* become UID: every way to set it; 0 if one worked; says "already" to an ordinary user who is it */
static int try_become(int argc, char **argv)
{
	uid_t wanted = (uid_t)number(argv[1]);
	int result = 0;

	(void)argc;
	if (wanted != 0 && getuid() == wanted && geteuid() == wanted)
		printf("already\n");
	if (syscall(SYS_setresuid, wanted, wanted, wanted) == 0 || (result = errno, 0))
		return 0;
	if (syscall(SYS_setuid, wanted) == 0 || syscall(SYS_setreuid, wanted, wanted) == 0)
		return 0;
	syscall(SYS_setfsuid, wanted);
	return (uid_t)syscall(SYS_setfsuid, -1) == wanted ? 0 : result;
}

/* join-group GID: setgroups, then setresgid; 0 if one worked */
static int try_join_group(int argc, char **argv)
{
	gid_t wanted = (gid_t)number(argv[1]);

	(void)argc;
	if (setgroups(1, &wanted) == 0)
		return 0;
	if (wanted != 0 && getgid() == wanted && getegid() == wanted)
		printf("already\n");
	return syscall(SYS_setresgid, wanted, wanted, wanted) < 0 ? errno : 0;
}

/* raise-limit RESOURCE: soft and hard to one more than the hard limit */
static int try_raise_limit(int argc, char **argv)
{
	struct rlimit limit;
	int resource = (int)number(argv[1]);

	(void)argc;
	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return errno;
	if (limit.rlim_max == RLIM_INFINITY) {
		printf("infinite\n");
		return 0;
	}
	limit.rlim_max++;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &limit) < 0 ? errno : 0;
}

/* bind PORT: TCP on every address; a socket of the own making */
static int try_bind(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)number(argv[1])) };
	int file = socket(AF_INET, SOCK_STREAM, 0);

	(void)argc;
	if (file < 0)
		return errno;
	return bind(file, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

/* uts: the host and domain name */
static int try_uts(int argc, char **argv)
{
	char name[65 * 2];

	(void)argc;
	(void)argv;
	if (gethostname(name, sizeof(name)) < 0)
		return errno;
	printf("host=%s\n", name);
	if (getdomainname(name, sizeof(name)) < 0)
		return errno;
	printf("domain=%s\n", name);
	return 0;
}

const struct attempt identity_attempts[] = {
	{ "ids", 0, try_ids },
	{ "exec-ids", 1, try_exec_ids },
	{ "status-of-all", 0, try_status_of_all },
	{ "namespaces", 0, try_namespaces },
	{ "fds", 0, try_fds },
	{ "fds-by-call", 0, try_fds_by_call },
	{ "user-namespace", 2, try_user_namespace },
	{ "raise-limit-and-unshare", 1, try_raise_limit_and_unshare },
	{ "capset", 0, try_capset },
	{ "ambient", 1, try_ambient },
	{ "bounding", 0, try_bounding },
	{ "securebits", 0, try_securebits },
	{ "become", 1, try_become },
	{ "join-group", 1, try_join_group },
	{ "raise-limit", 1, try_raise_limit },
	{ "bind", 1, try_bind },
	{ "uts", 0, try_uts },
	{ NULL, 0, NULL },
};
