/* What a program looked for under one name in many places, and found in none: a command along PATH,
 * a shared library along the loader's directories. A look that finds it takes back those
 * before it, so that what is left at the end was nowhere.
 *
 * Run by: the supervisor, with --explain only. */
#include "missing.h"

#include <string.h>

#define MISSING 32u /* of many, the last ones: what a job failed of is seldom what it tried first */

struct missing {
	enum hb_sought sought;
	struct hb_seen seen;
};

static struct missing table[MISSING];
static uint32_t count;
static uint32_t oldest; /* once the table is full */

/* The part of a path by which a program or a library goes; its length is 0 if it is neither. A linker takes
 * libx.a where there is no libx.so. */
static size_t name_of(const char *path, enum hb_sought sought, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t length;
	const char *at;

	if (slash == NULL || sought == HB_SOUGHT_NOTHING)
		return 0;
	*name = slash + 1;
	length = strlen(*name);
	if (sought == HB_SOUGHT_PROGRAM)
		return length;
	at = strstr(*name, ".so");
	if (at != NULL && (at[3] == '\0' || at[3] == '.'))
		return (size_t)(at - *name);
	return length > 2 && strcmp(*name + length - 2, ".a") == 0 ? length - 2 : 0;
}

static int same_name(const struct missing *row, const char *name, size_t length, enum hb_sought sought)
{
	const char *other;

	return row->sought == sought && name_of(row->seen.text, sought, &other) == length &&
	       memcmp(other, name, length) == 0;
}

static int same_comm(const struct missing *row, const char comm[HB_COMM_MAX])
{
	return memcmp(row->seen.comm, comm, HB_COMM_MAX) == 0;
}

void missing_note(const struct hb_seen *seen, enum hb_sought sought)
{
	const char *name = NULL;
	size_t length = name_of(seen->text, sought, &name);
	uint32_t at = 0;

	if (length == 0)
		return;
	while (at < count && !(same_name(&table[at], name, length, sought) &&
			       same_comm(&table[at], seen->comm)))
		at++;
	if (at == MISSING) {
		at = oldest;
		oldest = (oldest + 1) % MISSING;
	} else if (at == count) {
		count++;
	}
	table[at] = (struct missing){.sought = sought, .seen = *seen};
	table[at].seen.bits |= HB_SEEN_NOWHERE;
}

void missing_found(int listener, const struct seccomp_notif *call, const char *path, enum hb_sought sought)
{
	const char *name = NULL;
	size_t length = count == 0 ? 0 : name_of(path, sought, &name);
	char comm[HB_COMM_MAX] = {0};
	uint32_t kept = 0;
	int known = 0;

	for (uint32_t i = 0; length > 0 && i < count; i++) {
		if (!same_name(&table[i], name, length, sought))
			continue;
		if (!known)
			comm_of(listener, call, comm);
		known = 1;
		if (same_comm(&table[i], comm))
			table[i].sought = HB_SOUGHT_NOTHING;
	}
	for (uint32_t i = 0; known && i < count; i++)
		if (table[i].sought != HB_SOUGHT_NOTHING)
			table[kept++] = table[i];
	if (known) {
		count = kept;
		oldest = 0;
	}
}

void missing_end(void)
{
	for (uint32_t i = 0; i < count; i++)
		observe_add(&table[i].seen);
}
