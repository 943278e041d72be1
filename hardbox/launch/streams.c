/* A directory on stdin leads out of every root (openat(0, "..")), a block device is the
 * disk, a named socket is a host service: none of them reaches the job.
 *
 * Run by: the supervisor, before anything else. */
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
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

/* Not a namespace, and not a writable file of /proc (the memory of a host process). */
static int harmless_file(int fd, int mode)
{
	struct statfs system;

	if (fstatfs(fd, &system) < 0 || system.f_type == NSFS_MAGIC)
		return 0;
	return system.f_type != PROC_SUPER_MAGIC || (mode & O_ACCMODE) == O_RDONLY;
}

/* An unnamed AF_UNIX pair, as shells of other languages use instead of a pipe. */
static int unnamed_pair(int fd)
{
	struct sockaddr_un name = {0};
	socklen_t own = sizeof(name);
	socklen_t peer = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &own) < 0 || name.sun_family != AF_UNIX ||
	    getpeername(fd, (struct sockaddr *)&name, &peer) < 0)
		return 0;
	return own == offsetof(struct sockaddr_un, sun_path) &&
	       peer == offsetof(struct sockaddr_un, sun_path);
}

static int check(int fd, uint64_t allowed)
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
	     (S_ISSOCK(found.st_mode) &&
	      ((allowed & HB_STDIO_SOCKETS) != 0 || unnamed_pair(fd)))))
		return 0;
	errno = ENOTSUP;
	return -1;
}

int streams_check(uint64_t allowed)
{
	for (int fd = 0; fd < 3; fd++)
		if (check(fd, allowed) < 0)
			return -1;
	return 0;
}

int streams_give(uint32_t uid, uint32_t gid)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat found;
		struct statfs where;

		if (fstat(fd, &found) < 0 || fstatfs(fd, &where) < 0)
			return -1;
		/* A named pipe stands in the caller's tree and stays whose it is. */
		if (S_ISFIFO(found.st_mode) && where.f_type == PIPEFS_MAGIC && fchown(fd, uid, gid) < 0)
			return -1;
	}
	return 0;
}
