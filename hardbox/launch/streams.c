/* A directory on stdin leads out of every root (openat(0, "..")), a block device is the
 * disk, a named socket is a host service: none of them reaches the job. A terminal and a socket
 * pair of the caller's do not reach it either: something of the sandbox's own takes their place.
 *
 * Run by: the supervisor, before anything else; init (streams_enter). */
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

#include "kinds.h"

#define MEMORY_MAJOR 1
#define TTY_MAJOR 4
#define TTY_AUX_MAJOR 5
#define PTMX_MINOR 2
#define PTY_MAJOR_FIRST 136
#define PTY_MAJOR_LAST 143

/* Of the memory devices null, zero, full, random and urandom. */
static int harmless_device(dev_t device)
{
	unsigned int number = minor(device);

	return major(device) == MEMORY_MAJOR &&
	       (number == 3 || number == 5 || (number >= 7 && number <= 9));
}

static int terminal_device(dev_t device)
{
	unsigned int number = minor(device);

	switch (major(device)) {
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

static int check(struct hb_streams *streams, int fd, uint64_t allowed)
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
	if ((mode & O_PATH) == 0 && S_ISCHR(found.st_mode)) {
		if (terminal_device(found.st_rdev))
			streams->terminals |= 1u << fd;
		if (terminal_device(found.st_rdev) || harmless_device(found.st_rdev))
			return 0;
	} else if ((mode & O_PATH) == 0 && S_ISSOCK(found.st_mode) && unnamed_pair(fd)) {
		streams->relayed |= 1u << fd;
		if ((allowed & HB_STDIO_RELAY_SOCKETS) != 0)
			return 0;
		errno = EPROTONOSUPPORT;
		return -1;
	} else if ((mode & O_PATH) == 0 &&
		   (S_ISFIFO(found.st_mode) ||
		    (S_ISREG(found.st_mode) && harmless_file(fd, mode)))) {
		if ((allowed & HB_STDIO_RELAY_FILES) != 0)
			streams->relayed |= 1u << fd;
		return 0;
	}
	errno = ENOTSUP;
	return -1;
}

int streams_check(struct hb_streams *streams, uint64_t allowed, int counted)
{
	for (int fd = 0; fd < 3; fd++) {
		streams->job[fd] = streams->relay[fd] = -1;
		if (check(streams, fd, allowed) < 0)
			return -1;
	}
	if (counted)
		streams->relayed |= 6u & ~streams->terminals;
	return 0;
}

/* Two pipes would lose the order of what goes to one place. */
static int one_place(void)
{
	struct stat out;
	struct stat err;

	return fstat(1, &out) == 0 && fstat(2, &err) == 0 && out.st_dev == err.st_dev &&
	       out.st_ino == err.st_ino;
}

int streams_open(struct hb_streams *streams)
{
	for (int fd = 0; fd < 3; fd++) {
		int ends[2];

		if ((streams->relayed >> fd & 1u) == 0)
			continue;
		if (fd == 2 && (streams->relayed & 2u) != 0 && one_place()) {
			streams->job[2] = streams->job[1];
			continue;
		}
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		streams->job[fd] = ends[fd == 0 ? 0 : 1];
		streams->relay[fd] = ends[fd == 0 ? 1 : 0];
	}
	return 0;
}

int streams_enter(const struct hb_streams *streams)
{
	for (int fd = 0; fd < 3; fd++)
		if ((streams->relayed >> fd & 1u) != 0 && dup2(streams->job[fd], fd) < 0)
			return -1;
	return 0;
}

void streams_leave(const struct hb_streams *streams)
{
	for (int fd = 0; fd < 3; fd++)
		if (streams->job[fd] >= 0 && (fd < 2 || streams->job[2] != streams->job[1]))
			(void)close(streams->job[fd]);
}

int streams_reopen(const struct hb_streams *streams)
{
	for (int fd = 0; fd < 3; fd++) {
		int end = streams->job[fd] >= 0 ? streams->job[fd] : fd;
		struct stat found;
		struct statfs where;

		if (fstat(end, &found) < 0 || fstatfs(end, &where) < 0)
			return -1;
		/* A named pipe stands in the caller's tree and stays as it is. */
		if (!S_ISFIFO(found.st_mode) || where.f_type != PIPEFS_MAGIC)
			continue;

		mode_t others = (fcntl(end, F_GETFL) & O_ACCMODE) == O_WRONLY ? 0222 : 0444;

		/* Others may do what the job does with it, and nothing else: not being the owner,
		 * the job cannot change that. */
		if (fchmod(end, (found.st_mode & 0777) | others) < 0)
			return -1;
	}
	return 0;
}
