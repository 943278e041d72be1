/* Small things about descriptors that several files need.  Run by: supervisor, init. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "sys.h"

int closing(int result, int fd)
{
	int saved = errno;

	if (fd >= 0)
		(void)close(fd);
	errno = saved;
	return result;
}

int write_whole(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t done = write(fd, at, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		at += done;
		size -= (size_t)done;
	}
	return 0;
}

int close_others(const int *keep, size_t count)
{
	unsigned int first = 3;

	for (;;) {
		unsigned int next = ~0u;

		for (size_t i = 0; i < count; i++)
			if ((unsigned int)keep[i] >= first && (unsigned int)keep[i] < next)
				next = (unsigned int)keep[i];
		if (next == ~0u)
			return sys_close_range(first, ~0u);
		if (next > first && sys_close_range(first, next - 1) < 0)
			return -1;
		first = next + 1;
	}
}

int open_host(const char *path)
{
	return sys_openat2(AT_FDCWD, path, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int open_source(const char *path)
{
	int source = open_host(path);
	struct stat found;

	if (source < 0)
		return -1;
	if (fstat(source, &found) < 0)
		return closing(-1, source);
	if (S_ISDIR(found.st_mode) || S_ISREG(found.st_mode))
		return source;
	errno = ENOTSUP;
	return closing(-1, source);
}
