/* What of a C library is more than a call or a text: memory, environment, directories, terminals, other
 * programs.  Run by: hardbox, hardbox-launch. See start.c. */
#include "runtime.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* GCC's analyzer knows what malloc(3) is for, not that this is it. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#pragma GCC diagnostic ignored "-Wanalyzer-use-after-free"
#endif

#define LARGE 65536u /* from here on memory is the kernel's, and goes back there */
#define HEADER 16u
#define KERNEL_CHARACTERS 19 /* of a terminal's settings; glibc has room for more */

/* Small pieces come out of one store, which is never refilled: our programs ask for a few, once. */
static _Alignas(16) unsigned char store[4 * LARGE];
static size_t stored;

void *malloc(size_t size)
{
	size_t whole = (size + HEADER + 15u) & ~(size_t)15u;
	unsigned char *piece;

	if (size > PTRDIFF_MAX - HEADER - 15u) {
		errno = ENOMEM;
		return NULL;
	}
	if (whole >= LARGE || whole > sizeof(store) - stored) {
		piece = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (piece == MAP_FAILED)
			return NULL;
	} else {
		piece = store + stored;
		stored += whole;
	}
	*(size_t *)(void *)piece = whole;
	return piece + HEADER;
}

void free(void *memory)
{
	unsigned char *piece = (unsigned char *)memory - HEADER;

	/* What came out of the store stays unused, and 0, but for what was written to it: see calloc(). */
	if (memory != NULL && (piece < store || piece >= store + sizeof(store)))
		(void)munmap(piece, *(size_t *)(void *)piece);
}

void *calloc(size_t count, size_t size)
{
	size_t whole;

	if (__builtin_mul_overflow(count, size, &whole)) {
		errno = ENOMEM;
		return NULL;
	}
	/* Nothing is given out twice, so all of it is as the kernel made it: 0. */
	return malloc(whole);
}

void *realloc(void *memory, size_t size)
{
	void *more = malloc(size);

	if (more == NULL || memory == NULL)
		return more;

	size_t had = *(size_t *)(void *)((unsigned char *)memory - HEADER) - HEADER;

	memcpy(more, memory, had < size ? had : size);
	free(memory);
	return more;
}

char *getenv(const char *name)
{
	size_t length = strlen(name);

	for (char **at = environ; *at != NULL; at++)
		if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
			return *at + length + 1;
	return NULL;
}

int unsetenv(const char *name)
{
	size_t length = strlen(name);
	char **to = environ;

	for (char **at = environ; *at != NULL; at++)
		if (strncmp(*at, name, length) != 0 || (*at)[length] != '=')
			*to++ = *at;
	*to = NULL;
	return 0;
}

int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

long sysconf(int name)
{
	if (name == _SC_CLK_TCK || name == _SC_PAGESIZE)
		return (long)getauxval(name == _SC_CLK_TCK ? AT_CLKTCK : AT_PAGESZ);
	errno = EINVAL;
	return -1;
}

struct __dirstream {
	int fd;
	size_t at, end;
	_Alignas(16) unsigned char bytes[2 * LARGE];
};

DIR *fdopendir(int fd)
{
	DIR *list = malloc(sizeof(*list));

	if (list != NULL) {
		list->fd = fd;
		list->at = list->end = 0;
	}
	return list;
}

DIR *opendir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && list == NULL)
		(void)close(fd);
	return list;
}

/* The kernel's entries are glibc's. */
struct dirent *readdir(DIR *list)
{
	if (list->at == list->end) {
		long got = syscall(SYS_getdents64, list->fd, list->bytes, sizeof(list->bytes));

		if (got <= 0)
			return NULL;
		list->at = 0;
		list->end = (size_t)got;
	}

	struct dirent *entry = (struct dirent *)(void *)(list->bytes + list->at);

	list->at += entry->d_reclen;
	return entry;
}

int closedir(DIR *list)
{
	int result = close(list->fd);

	free(list);
	return result;
}

/* The flags are all that is asked for. */
int fstatvfs(int fd, struct statvfs *found)
{
	struct statfs mount;

	if (fstatfs(fd, &mount) < 0)
		return -1;
	memset(found, 0, sizeof(*found));
	found->f_flag = (unsigned long)mount.f_flags & ~0x20ul; /* ST_VALID */
	return 0;
}

struct kernel_terminal {
	tcflag_t input, output, control, local;
	cc_t line, characters[KERNEL_CHARACTERS];
};

int tcgetattr(int fd, struct termios *modes)
{
	struct kernel_terminal kernel;

	if (ioctl(fd, TCGETS, &kernel) < 0)
		return -1;
	memset(modes, 0, sizeof(*modes));
	modes->c_iflag = kernel.input;
	modes->c_oflag = kernel.output;
	modes->c_cflag = kernel.control;
	modes->c_lflag = kernel.local;
	modes->c_line = kernel.line;
	memcpy(modes->c_cc, kernel.characters, sizeof(kernel.characters));
	modes->c_ispeed = modes->c_ospeed = kernel.control & CBAUD;
	return 0;
}

int tcsetattr(int fd, int when, const struct termios *modes)
{
	struct kernel_terminal kernel = {.input = modes->c_iflag,
					 .output = modes->c_oflag,
					 .control = modes->c_cflag,
					 .local = modes->c_lflag,
					 .line = modes->c_line};

	memcpy(kernel.characters, modes->c_cc, sizeof(kernel.characters));
	return ioctl(fd, when == TCSANOW ? TCSETS : when == TCSADRAIN ? TCSETSW : TCSETSF, &kernel);
}

void cfmakeraw(struct termios *modes)
{
	modes->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	modes->c_oflag &= ~(tcflag_t)OPOST;
	modes->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	modes->c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	modes->c_cflag |= CS8;
	modes->c_cc[VMIN] = 1;
	modes->c_cc[VTIME] = 0;
}

pid_t tcgetpgrp(int fd)
{
	pid_t group;

	return ioctl(fd, TIOCGPGRP, &group) < 0 ? -1 : group;
}

/* With the one attribute that is used: a signal mask. */
int posix_spawnattr_init(posix_spawnattr_t *attributes)
{
	memset(attributes, 0, sizeof(*attributes));
	return 0;
}

int posix_spawnattr_setsigmask(posix_spawnattr_t *restrict attributes, const sigset_t *restrict mask)
{
	attributes->__ss = *mask;
	return 0;
}

int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags)
{
	attributes->__flags = flags;
	return (flags & ~POSIX_SPAWN_SETSIGMASK) == 0 ? 0 : EINVAL;
}

int posix_spawnattr_destroy(posix_spawnattr_t *attributes)
{
	(void)attributes;
	return 0;
}

int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
		char *const envp[restrict])
{
	int error = 0;
	int told[2];

	if (actions != NULL)
		return EINVAL;
	if (pipe2(told, O_CLOEXEC) < 0)
		return errno;
	*pid = fork();
	if (*pid == 0) {
		if (attributes == NULL || (attributes->__flags & POSIX_SPAWN_SETSIGMASK) == 0 ||
		    sigprocmask(SIG_SETMASK, &attributes->__ss, NULL) == 0)
			(void)execve(path, argv, envp);
		error = errno;
		_exit(write(told[1], &error, sizeof(error)) < 0 ? 126 : 127);
	}
	if (*pid < 0)
		error = errno;
	(void)close(told[1]);
	/* The exec closes the pipe without a word. */
	if (*pid > 0 && read(told[0], &error, sizeof(error)) != 0)
		(void)waitpid(*pid, NULL, 0);
	(void)close(told[0]);
	return error;
}
