/* Names: network addresses as text, and a path without symlinks.  Run by: hardbox, hardbox-launch. See
 * start.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime.h"
#include <sys/syscall.h>

#define WORDS 8 /* of an IPv6 address */
#define LINKS 40

/* The longest run of zeros, two at least, is left out (RFC 5952); the last two words of an address that
 * carries an IPv4 one are written as that. */
static size_t write_six(const unsigned char *bytes, char text[INET6_ADDRSTRLEN])
{
	unsigned int word[WORDS];
	size_t first = WORDS;
	size_t count = 1;
	size_t used = 0;
	size_t end = WORDS;

	for (size_t i = 0; i < WORDS; i++)
		word[i] = (unsigned int)bytes[2 * i] << 8 | bytes[2 * i + 1];
	for (size_t i = 0, run = 0; i < WORDS; i++) {
		run = word[i] == 0 ? run + 1 : 0;
		if (run > count) {
			count = run;
			first = i + 1 - run;
		}
	}
	if (first == 0 && (count == 6 || (count == 5 && word[5] == 0xffff)))
		end = 6;
	for (size_t i = 0; i < end; i++) {
		if (i == first) {
			text[used++] = ':';
			i += count - 1;
			if (i + 1 == WORDS)
				text[used++] = ':';
			continue;
		}
		if (i > 0)
			text[used++] = ':';
		used += (size_t)snprintf(text + used, 5, "%x", word[i]);
	}
	if (end == 6)
		used += (size_t)snprintf(text + used, INET_ADDRSTRLEN + 1, ":%u.%u.%u.%u", bytes[12], bytes[13],
					 bytes[14], bytes[15]);
	text[used] = '\0';
	return used;
}

const char *inet_ntop(int family, const void *restrict address, char *restrict room, socklen_t size)
{
	const unsigned char *bytes = address;
	char text[INET6_ADDRSTRLEN];
	size_t length;

	if (family != AF_INET && family != AF_INET6) {
		errno = EAFNOSUPPORT;
		return NULL;
	}
	length = family == AF_INET ? (size_t)snprintf(text, sizeof(text), "%u.%u.%u.%u", bytes[0], bytes[1],
						      bytes[2], bytes[3])
				   : write_six(bytes, text);
	if (length >= size) {
		errno = ENOSPC;
		return NULL;
	}
	memcpy(room, text, length + 1);
	return room;
}

/* Put `more` in front of what is left of a path. */
static int prepend(char left[PATH_MAX], const char *rest, const char *more, size_t size)
{
	size_t length = strlen(rest);

	if (size + 1 + length >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memmove(left + size + 1, rest, length + 1);
	memcpy(left, more, size);
	left[size] = '/';
	return 0;
}

char *realpath(const char *restrict path, char *restrict room)
{
	char left[PATH_MAX];
	char link[PATH_MAX];
	char *rest = left;
	size_t used = 0;
	unsigned int links = 0;

	errno = *path == '\0' ? ENOENT : ENAMETOOLONG;
	if (*path == '\0' || strlen(path) >= sizeof(left))
		return NULL;
	memcpy(left, path, strlen(path) + 1);
	if (*path != '/') {
		long size = syscall(SYS_getcwd, link, sizeof(link));

		if (size < 0 || prepend(left, left, link, (size_t)size - 1) < 0)
			return NULL;
	}
	while (*(rest += strspn(rest, "/")) != '\0') {
		size_t length = strcspn(rest, "/");

		if (length == 2 && memcmp(rest, "..", 2) == 0) {
			while (used > 0 && room[--used] != '/')
				;
		} else if (length != 1 || *rest != '.') {
			if (used + length + 2 > PATH_MAX) {
				errno = ENAMETOOLONG;
				return NULL;
			}
			room[used] = '/';
			memcpy(room + used + 1, rest, length);
			room[used + 1 + length] = '\0';

			ssize_t size = readlink(room, link, sizeof(link));

			if (size < 0 && errno != EINVAL)
				return NULL;
			if (size >= 0) {
				if (++links > LINKS) {
					errno = ELOOP;
					return NULL;
				}
				if (prepend(left, rest + length, link, (size_t)size) < 0)
					return NULL;
				used = link[0] == '/' ? 0 : used;
				rest = left;
				continue;
			}
			used += 1 + length;
		}
		rest += length;
	}
	if (used == 0)
		room[used++] = '/';
	room[used] = '\0';
	return room;
}
