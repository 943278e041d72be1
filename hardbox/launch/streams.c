/* A directory on stdin leads out of every root (openat(0, "..")), a block device is the
 * disk, a named socket is a host service: none of them reaches the job.
 *
 * Run by: the supervisor, before anything else. */
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#define MEMORY_MAJOR 1
#define TTY_MAJOR 4
#define TTY_AUX_MAJOR 5
#define PTMX_MINOR 2
#define PTY_MAJOR_FIRST 136
#define PTY_MAJOR_LAST 143

/* Terminals, and of the memory devices null, zero, full, random and urandom. */
static int harmless_device(dev_t device)
{
	unsigned int number = minor(device);

	switch (major(device)) {
	case MEMORY_MAJOR:
		return number == 3 || number == 5 || (number >= 7 && number <= 9);
	case TTY_MAJOR:
		return 1;
	case TTY_AUX_MAJOR:
		return number != PTMX_MINOR; /* the other end of somebody's terminal */
	default:
		return major(device) >= PTY_MAJOR_FIRST && major(device) <= PTY_MAJOR_LAST;
	}
}

/* A memory file has no path, so no wall of paths stops the job from opening it anew for
 * writing, or from executing it. */
static int memory_file(int fd)
{
	char link[32];
	char name[16];
	ssize_t length = -1;

	if (snprintf(link, sizeof(link), "/proc/self/fd/%d", fd) > 0)
		length = readlink(link, name, sizeof(name));
	return length < 7 || memcmp(name, "/memfd:", 7) == 0;
}

/* Not a namespace, not a memory file, not a writable file of /proc (a host process's memory). */
static int harmless_file(int fd, int mode)
{
	struct statfs system;

	if (fstatfs(fd, &system) < 0 || system.f_type == NSFS_MAGIC ||
	    (system.f_type == TMPFS_MAGIC && memory_file(fd)))
		return 0;
	return system.f_type != PROC_SUPER_MAGIC || (mode & O_ACCMODE) == O_RDONLY;
}

/* An unnamed pair of AF_UNIX streams, as other languages use instead of a pipe. Datagram
 * sockets could be connected anew, to a service of the host. */
static int unnamed_pair(int fd)
{
	struct sockaddr_un name = {0};
	int type = 0;
	socklen_t size = sizeof(type);
	socklen_t own = sizeof(name);
	socklen_t peer = sizeof(name);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
	    getsockname(fd, (struct sockaddr *)&name, &own) < 0 || name.sun_family != AF_UNIX ||
	    getpeername(fd, (struct sockaddr *)&name, &peer) < 0)
		return 0;
	return own == offsetof(struct sockaddr_un, sun_path) &&
	       peer == offsetof(struct sockaddr_un, sun_path);
}

static int check(int fd)
{
	struct stat found;
	int mode = fcntl(fd, F_GETFL);

	if (mode < 0 && errno == EBADF) {
		int null = open("/dev/null", O_RDWR);

		if (null == fd)
			return 0;
		if (null >= 0)
			errno = EBADF;
		return -1;
	}
	if (mode < 0 || fstat(fd, &found) < 0)
		return -1;
	if (S_ISDIR(found.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	if ((mode & O_PATH) == 0 &&
	    ((S_ISREG(found.st_mode) && harmless_file(fd, mode)) || S_ISFIFO(found.st_mode) ||
	     (S_ISCHR(found.st_mode) && harmless_device(found.st_rdev)) ||
	     (S_ISSOCK(found.st_mode) && unnamed_pair(fd))))
		return 0;
	errno = ENOTSUP;
	return -1;
}

int streams_check(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (check(fd) < 0)
			return -1;
	return 0;
}

int streams_reopen(void)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat found;
		struct statfs where;

		if (fstat(fd, &found) < 0 || fstatfs(fd, &where) < 0)
			return -1;
		/* A named pipe stands in the caller's tree and stays as it is. */
		if (!S_ISFIFO(found.st_mode) || where.f_type != PIPEFS_MAGIC)
			continue;

		mode_t others = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? 0222 : 0444;

		/* Others may do what the job does with it, and nothing else: not being the owner,
		 * the job cannot change that. */
		if (fchmod(fd, (found.st_mode & 0777) | others) < 0)
			return -1;
	}
	return 0;
}
