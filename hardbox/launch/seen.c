/* Keeps what observe.c has seen, in a table of fixed size, each kind once.
 *
 * Run by: the supervisor, with --explain only. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "missing.h"
#include "observe.h"
#include "outside.h"

static struct hb_observations table;
static uint32_t unlooked;

const struct hb_observations *observations(void)
{
	return &table;
}

/* Whether a name that is not there inside lies in a tree that is shown: then the host has it neither. What
 * is made for the job alone, memory and the root itself, says nothing of the host. */
static int in_shown_tree(const char *path)
{
	char above[HB_SEEN_TEXT];
	struct statfs mount;
	char *slash;
	int found = -1;

	(void)snprintf(above, sizeof(above), "%s", path);
	while (found < 0 && (slash = strrchr(above, '/')) != NULL && slash != above) {
		*slash = '\0';
		found = observe_find(above);
	}
	if (found < 0)
		return 0;
	if (fstatfs(found, &mount) < 0)
		mount.f_type = TMPFS_MAGIC;
	(void)close(found);
	return mount.f_type != TMPFS_MAGIC;
}

/* Find out whether the caller sees something of that name on the host; 1 if the row is to be kept. */
static int look_outside(struct hb_seen *seen)
{
	int absent = seen->error == ENOENT || seen->error == ENOTDIR;
	enum hb_outside host = HB_OUTSIDE_ABSENT;

	if (seen->text[0] != '/')
		return 1;
	if ((seen->bits & HB_SEEN_CUT) != 0)
		return !absent;
	host = outside(seen->text);
	if (host == HB_OUTSIDE_THERE)
		seen->bits |= HB_SEEN_OUTSIDE;
	if (host == HB_OUTSIDE_THERE || !absent)
		return 1;
	missing_note(seen, observe_sought(seen));
	/* Programs look for most files in vain everywhere: that is no matter of the sandbox. */
	if (host == HB_OUTSIDE_ABSENT || in_shown_tree(seen->text))
		return 0;
	seen->bits |= HB_SEEN_UNLOOKED;
	return 1;
}

void observe_keep(struct hb_seen *seen)
{
	if (!look_outside(seen))
		return;
	for (uint32_t i = 0; i < table.count; i++) {
		struct hb_seen *row = &table.row[i];

		if (row->number == seen->number && row->error == seen->error &&
		    row->flags == seen->flags && row->port == seen->port &&
		    strcmp(row->text, seen->text) == 0) {
			row->count++;
			return;
		}
	}
	if (table.count >= HB_SEEN_MAX ||
	    ((seen->bits & HB_SEEN_UNLOOKED) != 0 && unlooked++ >= HB_SEEN_UNLOOKED_MAX)) {
		table.dropped++;
		return;
	}
	table.row[table.count++] = *seen;
}

void observe_add(const struct hb_seen *seen)
{
	if (table.count == HB_SEEN_MAX + HB_SEEN_ADDED)
		table.dropped++;
	else
		table.row[table.count++] = *seen;
}
