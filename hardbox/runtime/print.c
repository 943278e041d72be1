/* Messages: the conversions that ours use, and no others.  Run by: hardbox, hardbox-launch. See start.c. */
#include "runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MESSAGE_MAX 8192

/* No stream is ever looked into: only which of them it is counts. */
static unsigned char out, err;
FILE *stdout = (FILE *)(void *)&out;
FILE *stderr = (FILE *)(void *)&err;

struct line {
	char *bytes;
	size_t room, used; /* more than there is room for is counted, not written */
};

static void put(struct line *line, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++, line->used++)
		if (line->used < line->room)
			line->bytes[line->used] = text[i];
}

static void pad(struct line *line, char with, size_t width, size_t size)
{
	for (; size < width; size++)
		put(line, &with, 1);
}

/* Digits of `value` at the end of `room`; gives where they begin. */
static char *digits(uint64_t value, unsigned int base, char room[24])
{
	char *at = room + 24;

	do
		*--at = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	return at;
}

/* %[0][width][.precision][l|ll|z](d|u|o|x|c|s|f|%); %f with one digit behind the point, not negative. */
static void format(struct line *line, const char *text, va_list list)
{
	for (; *text != '\0'; text++) {
		const char *plain = text;
		char zero = ' ';
		size_t width = 0;
		size_t precision = SIZE_MAX;
		int longs = 0;
		char room[24];
		char *at = room;
		size_t size;

		while (*text != '\0' && *text != '%')
			text++;
		put(line, plain, (size_t)(text - plain));
		if (*text == '\0')
			return;
		if (*++text == '0')
			zero = *text++;
		for (; *text >= '0' && *text <= '9'; text++)
			width = width * 10 + (size_t)(*text - '0');
		if (*text == '.')
			for (precision = 0, text++; *text >= '0' && *text <= '9'; text++)
				precision = precision * 10 + (size_t)(*text - '0');
		for (; *text == 'l' || *text == 'z'; text++)
			longs = 1;
		if (*text == 's') {
			at = va_arg(list, char *);
			for (size = 0; size < precision && at[size] != '\0'; size++)
				;
		} else if (*text == 'c') {
			*at = (char)va_arg(list, int);
			size = 1;
		} else if (*text == 'f') {
			uint64_t tenths = (uint64_t)(va_arg(list, double) * 10 + 0.5);

			at = digits(tenths / 10, 10, room);
			put(line, at, (size_t)(room + 24 - at));
			room[0] = '.';
			room[1] = (char)('0' + tenths % 10);
			at = room;
			size = 2;
		} else if (*text == 'd') {
			int64_t value = longs ? va_arg(list, long) : va_arg(list, int);

			at = digits(value < 0 ? -(uint64_t)value : (uint64_t)value, 10, room);
			if (value < 0)
				*--at = '-';
			size = (size_t)(room + 24 - at);
		} else if (*text == 'u' || *text == 'x' || *text == 'o') {
			uint64_t value = longs ? va_arg(list, unsigned long) : va_arg(list, unsigned int);

			at = digits(value, *text == 'u' ? 10 : *text == 'x' ? 16 : 8, room);
			size = (size_t)(room + 24 - at);
		} else {
			if (*text != '%')
				runtime_fail("a conversion that nobody knows");
			*at = '%';
			size = 1;
		}
		pad(line, zero, width, size);
		put(line, at, size);
	}
}

int vsnprintf(char *restrict bytes, size_t room, const char *restrict text, va_list list)
{
	struct line line = {bytes, room == 0 ? 0 : room - 1, 0};

	format(&line, text, list);
	if (room > 0)
		bytes[line.used < line.room ? line.used : line.room] = '\0';
	return (int)line.used;
}

static int put_whole(const FILE *stream, const char *bytes, size_t size)
{
	int fd = stream == stderr ? STDERR_FILENO : STDOUT_FILENO;
	size_t done = 0;

	while (done < size) {
		ssize_t now = write(fd, bytes + done, size - done);

		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0)
			return -1;
		done += (size_t)now;
	}
	return (int)size;
}

int vfprintf(FILE *restrict stream, const char *restrict text, va_list list)
{
	char bytes[MESSAGE_MAX];
	int size = vsnprintf(bytes, sizeof(bytes), text, list);

	return put_whole(stream, bytes, size < MESSAGE_MAX ? (size_t)size : MESSAGE_MAX - 1);
}

#define WITH_LIST(type, call)                                                                    \
	va_list list;                                                                            \
	va_start(list, text);                                                                    \
	type result = call;                                                                      \
	va_end(list);                                                                            \
	return result

int snprintf(char *restrict bytes, size_t room, const char *restrict text, ...)
{
	WITH_LIST(int, vsnprintf(bytes, room, text, list));
}

int fprintf(FILE *restrict stream, const char *restrict text, ...)
{
	WITH_LIST(int, vfprintf(stream, text, list));
}

int printf(const char *restrict text, ...)
{
	WITH_LIST(int, vfprintf(stdout, text, list));
}

int fputs(const char *restrict text, FILE *restrict stream)
{
	return put_whole(stream, text, strlen(text));
}

size_t fwrite(const void *restrict bytes, size_t size, size_t count, FILE *restrict stream)
{
	return put_whole(stream, bytes, size * count) < 0 ? 0 : count;
}

int fputc(int byte, FILE *stream)
{
	char one = (char)byte;

	return put_whole(stream, &one, 1) < 0 ? EOF : byte;
}

_Noreturn void runtime_fail(const char *what)
{
	(void)fprintf(stderr, "*** %s ***: terminated\n", what);
	(void)raise(SIGABRT);
	_exit(127);
}
