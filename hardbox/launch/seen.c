/* Keeps what observe.c has seen, in a table of fixed size, each kind once.
 *
 * Run by: the supervisor, with --explain only. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "missing.h"
#include "observe.h"

static struct hb_observations table;

const struct hb_observations *observations(void)
{
	return &table;
}

/* Whether the caller sees something of that name on the host. */
static int outside(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void observe_keep(struct hb_seen *seen)
{
	if (seen->text[0] == '/' && (seen->bits & HB_SEEN_CUT) == 0 && outside(seen->text))
		seen->bits |= HB_SEEN_OUTSIDE;
	/* Programs look for most files in vain everywhere: that is no matter of the sandbox. */
	if (seen->text[0] == '/' && (seen->bits & HB_SEEN_OUTSIDE) == 0 &&
	    (seen->error == ENOENT || seen->error == ENOTDIR)) {
		if ((seen->bits & HB_SEEN_CUT) == 0)
			missing_note(seen, observe_sought(seen));
		return;
	}
	for (uint32_t i = 0; i < table.count; i++) {
		struct hb_seen *row = &table.row[i];

		if (row->number == seen->number && row->error == seen->error &&
		    row->flags == seen->flags && row->port == seen->port &&
		    strcmp(row->text, seen->text) == 0) {
			row->count++;
			return;
		}
	}
	if (table.count >= HB_SEEN_MAX) {
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
