/* Memory and text.  Run by: hardbox, hardbox-launch. See start.c.
 *
 * Compiled with -fno-builtin: a compiler that knows what these are for would make them call
 * themselves. */
#include "runtime.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	unsigned char *out = to;
	const unsigned char *in = from;

	if ((uintptr_t)out - (uintptr_t)in >= size)
		return memcpy(to, from, size);
	while (size-- > 0)
		out[size] = in[size];
	return to;
}

int memcmp(const void *left, const void *right, size_t size)
{
	const unsigned char *a = left;
	const unsigned char *b = right;

	for (size_t i = 0; i < size; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

void *memchr(const void *bytes, int byte, size_t size)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < size; i++)
		if (at[i] == (unsigned char)byte)
			return (void *)(uintptr_t)(at + i);
	return NULL;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length] != '\0')
		length++;
	return length;
}

int strncmp(const char *left, const char *right, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char a = (unsigned char)left[i];
		unsigned char b = (unsigned char)right[i];

		if (a != b)
			return a < b ? -1 : 1;
		if (a == '\0')
			return 0;
	}
	return 0;
}

int strcmp(const char *left, const char *right)
{
	return strncmp(left, right, SIZE_MAX);
}

char *strchr(const char *text, int byte)
{
	return memchr(text, byte, strlen(text) + 1);
}

char *strrchr(const char *text, int byte)
{
	for (size_t left = strlen(text) + 1; left > 0; left--)
		if (text[left - 1] == (char)byte)
			return (char *)(uintptr_t)(text + left - 1);
	return NULL;
}

char *strstr(const char *text, const char *sought)
{
	size_t length = strlen(sought);

	for (;; text++) {
		if (strncmp(text, sought, length) == 0)
			return (char *)(uintptr_t)text;
		if (*text == '\0')
			return NULL;
	}
}

static size_t span(const char *text, const char *set, int in)
{
	size_t length = 0;

	while (text[length] != '\0' && (memchr(set, text[length], strlen(set)) != NULL) == in)
		length++;
	return length;
}

size_t strspn(const char *text, const char *set)
{
	return span(text, set, 1);
}

size_t strcspn(const char *text, const char *set)
{
	return span(text, set, 0);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

/* The number at `text`, at most `most`; ERANGE beyond it. Without 0x and without a leading 0 for 8. */
static uint64_t number(const char *text, char **end, int base, uint64_t most, int *minus)
{
	const char *at = text;
	uint64_t value = 0;
	int beyond = 0;

	while (*at == ' ' || (*at >= '\t' && *at <= '\r'))
		at++;
	*minus = *at == '-';
	at += *at == '-' || *at == '+';

	const char *first = at;

	for (; digit(*at) < base; at++) {
		uint64_t more = (uint64_t)digit(*at);

		beyond |= value > (most - more) / (uint64_t)base;
		value = beyond ? most : value * (uint64_t)base + more;
	}
	if (beyond)
		errno = ERANGE;
	if (end != NULL)
		*end = (char *)(uintptr_t)(at == first ? text : at);
	return value;
}

#undef strtol
#undef strtoull

long(strtol)(const char *restrict text, char **restrict end, int base)
{
	int minus;
	uint64_t value = number(text, end, base, LONG_MAX, &minus);

	return minus ? -(long)value : (long)value;
}

unsigned long long(strtoull)(const char *restrict text, char **restrict end, int base)
{
	int minus;
	uint64_t value = number(text, end, base, ULLONG_MAX, &minus);

	return minus ? -value : value;
}
