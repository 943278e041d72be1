/* Numbers out of the kernel's small files, in /proc and in cgroups.
 *
 * Used by: cgroup.c, sample.c. */
#ifndef HB_NUMBERS_H
#define HB_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

/* Read a file below `folder` (AT_FDCWD: of the host) as text, cut off at `room`. The length, or
 * -1 and errno. */
int text_read(int folder, const char *path, char *text, size_t room);

/* The number behind `key` where it begins a line, or, if key is NULL, the first one. 0, or -1 and
 * errno (ENODATA: there is none). */
int number_find(const char *text, const char *key, uint64_t *number);

/* Both in one. */
int number_read(int folder, const char *path, const char *key, uint64_t *number);

/* Write a decimal number, as the kernel reads it. 0, or -1 and errno. */
int number_write(int folder, const char *path, uint64_t number);

#endif
