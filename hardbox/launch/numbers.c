/* Numbers out of the kernel's small files, in /proc and in cgroups: nothing else is parsed.
 *
 * Run by: the supervisor. */
#include "numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

int text_read(int folder, const char *path, char *text, size_t room)
{
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	do
		got = read(fd, text, room - 1);
	while (got < 0 && errno == EINTR);
	if (got >= 0)
		text[got] = '\0';
	return closing((int)got, fd);
}

int number_find(const char *text, const char *key, uint64_t *number)
{
	const char *at = text;
	uint64_t found = 0;

	if (key != NULL) {
		size_t length = strlen(key);

		while (at != NULL && strncmp(at, key, length) != 0) {
			at = strchr(at, '\n');
			at = at == NULL ? NULL : at + 1;
		}
		at = at == NULL ? NULL : at + length;
	}
	while (at != NULL && (*at == ' ' || *at == '\t' || *at == ':'))
		at++;
	if (at == NULL || *at < '0' || *at > '9') {
		errno = ENODATA;
		return -1;
	}
	for (; *at >= '0' && *at <= '9'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		found = found > (UINT64_MAX - digit) / 10 ? UINT64_MAX : found * 10 + digit;
	}
	*number = found;
	return 0;
}

int number_read(int folder, const char *path, const char *key, uint64_t *number)
{
	char text[4096];

	return text_read(folder, path, text, sizeof(text)) < 0 ? -1 : number_find(text, key, number);
}

int number_write(int folder, const char *path, uint64_t number)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	int fd = openat(folder, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return closing(write_whole(fd, text, (size_t)length), fd);
}
