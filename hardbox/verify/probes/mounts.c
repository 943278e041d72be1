/* Attempts on the view of files: mounts, roots, remounts, in old and new system calls.
 *
 * Run by: main.c. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYS_OPEN_TREE 428
#define SYS_MOVE_MOUNT 429
#define SYS_FSOPEN 430
#define SYS_FSCONFIG 431
#define SYS_FSMOUNT 432
#define SYS_MOUNT_SETATTR 442
#define MOST_MOUNTS 256
#define MOST_PATH 4096

struct attributes {
	uint64_t set, clear, propagation, user_namespace;
};

static char points[MOST_MOUNTS][MOST_PATH];

static int read_points(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char *line = NULL;
	size_t space = 0;
	int count = 0;

	if (file == NULL)
		return -1;
	while (count < MOST_MOUNTS && getline(&line, &space, file) > 0)
		if (sscanf(line, "%*s %*s %*s %*s %4095s", points[count]) == 1)
			count++;
	fclose(file);
	return count;
}

static long attack_mount(const char *how, const char *point)
{
	struct attributes attributes = { 0, 0, 0, 0 };

	if (strcmp(how, "remount") == 0)
		return mount(NULL, point, NULL, MS_REMOUNT, NULL);
	if (strcmp(how, "remount-bind") == 0)
		return mount(NULL, point, NULL, MS_REMOUNT | MS_BIND, NULL);
	if (strcmp(how, "umount") == 0)
		return umount2(point, 0);
	if (strcmp(how, "detach") == 0)
		return umount2(point, MNT_DETACH);
	if (strcmp(how, "force") == 0)
		return umount2(point, MNT_FORCE);
	if (strcmp(how, "expire") == 0)
		return umount2(point, MNT_EXPIRE);
	if (strcmp(how, "shared") == 0)
		return mount(NULL, point, NULL, MS_SHARED, NULL);
	if (strcmp(how, "bind") == 0)
		return mount(point, point, NULL, MS_BIND, NULL);
	if (strcmp(how, "open-tree") == 0)
		return syscall(SYS_OPEN_TREE, AT_FDCWD, point, 1);
	/* setattr: clear read-only, nosuid, nodev, noexec */
	attributes.clear = 1 | 2 | 4 | 8;
	return syscall(SYS_MOUNT_SETATTR, AT_FDCWD, point, 0, &attributes, sizeof(attributes));
}

/* each-mount HOW: the same attack on every mount there is; 0 if one worked. EPERM comes
 * before other errors, so the last errno says little: the first that is not EPERM wins. */
static int try_each_mount(int argc, char **argv)
{
	int count = read_points();
	int result = EPERM;

	(void)argc;
	if (count < 0)
		return errno;
	for (int i = count - 1; i >= 0; i--) {
		if (attack_mount(argv[1], points[i]) >= 0) {
			printf("%s\n", points[i]);
			result = 0;
		} else if (result == EPERM) {
			result = errno;
		}
	}
	return result;
}

/* mount SOURCE TARGET TYPE FLAGS DATA */
static int try_mount(int argc, char **argv)
{
	(void)argc;
	return mount(argv[1], argv[2], argv[3], number(argv[4]), argv[5]) < 0 ? errno : 0;
}

/* mount-new-api TYPE: fsopen, fsconfig, fsmount, move_mount on /tmp */
static int try_mount_new_api(int argc, char **argv)
{
	long context = syscall(SYS_FSOPEN, argv[1], 0);
	long tree;

	(void)argc;
	if (context < 0)
		return errno;
	if (syscall(SYS_FSCONFIG, context, 6, NULL, NULL, 0) < 0)
		return errno;
	tree = syscall(SYS_FSMOUNT, context, 0, 0);
	if (tree < 0)
		return errno;
	return syscall(SYS_MOVE_MOUNT, tree, "", AT_FDCWD, "/tmp", 4) < 0 ? errno : 0;
}

/* nested HOW: attack every mount from a user and mount namespace of the own making */
static int try_nested(int argc, char **argv)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return errno;
	return try_each_mount(argc, argv);
}

/* chroot-escape DIRECTORY: chroot below the working directory, then climb */
static int try_chroot_escape(int argc, char **argv)
{
	char path[MOST_PATH];
	int above = open(".", O_RDONLY | O_DIRECTORY);

	(void)argc;
	snprintf(path, sizeof(path), "%s/chroot.%d", argv[1], getpid());
	if (mkdir(path, 0755) < 0 || chroot(path) < 0)
		return errno;
	if (above < 0 || fchdir(above) < 0)
		return errno;
	for (int i = 0; i < 64; i++)
		if (chdir("..") < 0)
			return errno;
	return chroot(".") < 0 ? errno : 0;
}

/* pivot DIRECTORY */
static int try_pivot(int argc, char **argv)
{
	(void)argc;
	return syscall(SYS_pivot_root, argv[1], argv[1]) < 0 ? errno : 0;
}

/* parent-root: climb with ".." from the root and from every thing in /proc/self */
static int try_parent_root(int argc, char **argv)
{
	struct stat root, above;
	static const char *const climbs[] = {
		"/..", "/../../../..", "/proc/self/root/..", "/proc/self/root/../..",
		"/proc/self/cwd/../../../../..", "/proc/1/root/..", "/proc/thread-self/root/..",
	};

	(void)argc;
	(void)argv;
	if (stat("/", &root) < 0)
		return errno;
	for (size_t i = 0; i < sizeof(climbs) / sizeof(climbs[0]); i++) {
		if (stat(climbs[i], &above) < 0)
			continue;
		if (above.st_dev != root.st_dev || above.st_ino != root.st_ino) {
			printf("%s\n", climbs[i]);
			return 0;
		}
	}
	return EXDEV;
}

const struct attempt mount_attempts[] = {
	{ "each-mount", 1, try_each_mount },
	{ "mount", 5, try_mount },
	{ "mount-new-api", 1, try_mount_new_api },
	{ "nested", 1, try_nested },
	{ "chroot-escape", 1, try_chroot_escape },
	{ "pivot", 1, try_pivot },
	{ "parent-root", 0, try_parent_root },
	{ NULL, 0, NULL },
};
