/* What compilers call of themselves: for -fstack-protector, and for -D_FORTIFY_SOURCE where they know how
 * much room there is but not whether it is enough.  Run by: hardbox, hardbox-launch. See start.c. */
#include "runtime.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WITH_LIST(type, call)                                                                    \
	va_list list;                                                                            \
	va_start(list, text);                                                                    \
	type result = call;                                                                      \
	va_end(list);                                                                            \
	return result

_Noreturn void __stack_chk_fail(void);
_Noreturn void __chk_fail(void);
int __snprintf_chk(char *bytes, size_t room, int flag, size_t known, const char *text, ...);
int __fprintf_chk(FILE *stream, int flag, const char *text, ...);
int __printf_chk(int flag, const char *text, ...);
void *__memcpy_chk(void *to, const void *from, size_t size, size_t known);
void *__memmove_chk(void *to, const void *from, size_t size, size_t known);
void *__memset_chk(void *to, int byte, size_t size, size_t known);
ssize_t __read_chk(int fd, void *bytes, size_t size, size_t known);
ssize_t __pread_chk(int fd, void *bytes, size_t size, off_t at, size_t known);
ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t known, int flags);
ssize_t __readlink_chk(const char *path, char *bytes, size_t size, size_t known);
ssize_t __readlinkat_chk(int directory, const char *path, char *bytes, size_t size, size_t known);
int __poll_chk(struct pollfd *events, nfds_t count, int timeout, size_t known);
int __getgroups_chk(int count, gid_t *groups, size_t known);
char *__realpath_chk(const char *path, char *room, size_t known);

_Noreturn void __stack_chk_fail(void)
{
	runtime_fail("stack smashing detected");
}

_Noreturn void __chk_fail(void)
{
	runtime_fail("buffer overflow detected");
}

static void check(size_t size, size_t known)
{
	if (size > known)
		__chk_fail();
}

int __snprintf_chk(char *bytes, size_t room, int flag, size_t known, const char *text, ...)
{
	(void)flag;
	check(room, known);
	WITH_LIST(int, vsnprintf(bytes, room, text, list));
}

int __fprintf_chk(FILE *stream, int flag, const char *text, ...)
{
	(void)flag;
	WITH_LIST(int, vfprintf(stream, text, list));
}

int __printf_chk(int flag, const char *text, ...)
{
	(void)flag;
	WITH_LIST(int, vfprintf(stdout, text, list));
}

#define CHECKED(type, name, parameters, arguments)                                               \
	type __##name##_chk parameters                                                           \
	{                                                                                        \
		check(size, known);                                                              \
		return name arguments;                                                           \
	}

CHECKED(void *, memcpy, (void *to, const void *from, size_t size, size_t known), (to, from, size))
CHECKED(void *, memmove, (void *to, const void *from, size_t size, size_t known), (to, from, size))
CHECKED(void *, memset, (void *to, int byte, size_t size, size_t known), (to, byte, size))
CHECKED(ssize_t, read, (int fd, void *bytes, size_t size, size_t known), (fd, bytes, size))
CHECKED(ssize_t, pread, (int fd, void *bytes, size_t size, off_t at, size_t known), (fd, bytes, size, at))
CHECKED(ssize_t, recv, (int fd, void *bytes, size_t size, size_t known, int flags),
	(fd, bytes, size, flags))
CHECKED(ssize_t, readlink, (const char *path, char *bytes, size_t size, size_t known),
	(path, bytes, size))
CHECKED(ssize_t, readlinkat, (int directory, const char *path, char *bytes, size_t size, size_t known),
	(directory, path, bytes, size))

int __poll_chk(struct pollfd *events, nfds_t count, int timeout, size_t known)
{
	check(count, known / sizeof(*events));
	return poll(events, count, timeout);
}

int __getgroups_chk(int count, gid_t *groups, size_t known)
{
	check((size_t)count, known / sizeof(*groups));
	return getgroups(count, groups);
}

char *__realpath_chk(const char *path, char *room, size_t known)
{
	check(PATH_MAX, known);
	return realpath(path, room);
}
