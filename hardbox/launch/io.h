/* Small things about descriptors that several files need.
 *
 * Used by: supervisor, init and their steps. */
#ifndef HB_IO_H
#define HB_IO_H

#include <stddef.h>

/* Close `fd` (none if -1) and keep errno, so that a failed call's reason survives the
 * clean-up; gives `result`. */
int closing(int result, int fd);

/* Write all of it; retry on EINTR. 0, or -1 and errno. */
int write_whole(int fd, const void *data, size_t size);

/* Close everything but 0-2 and the `count` descriptors of `keep`; -1 in it is none. 0, or -1 and
 * errno. */
int close_others(const int *keep, size_t count);

/* O_PATH descriptor of a host path that a step names, never through a symlink; or -1 and errno. */
int open_host(const char *path);
/* The same, and only a directory or a regular file (ENOTSUP): what the front end has looked at
 * may have changed since, and a socket would be a service of the host. */
int open_source(const char *path);

#endif
