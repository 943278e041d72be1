/* Whether the host has something of a name that the job chose.
 *
 * The name must make nobody act: only the root's own mount is walked, component by component, and a
 * mount on the way ends the walk before its file system is asked anything. Else a job without a
 * network would choose what an automounter mounts, and a server that is silent would hold the
 * supervisor for ever. O_PATH with O_NOFOLLOW triggers no automount; older kernels do so with
 * RESOLVE_NO_XDEV alone.
 *
 * Run by: the supervisor, with --explain only. */
#include "outside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "observe.h"
#include "sys.h"

#define LINKS 16u

static int open_top(void)
{
	return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

enum hb_outside outside(const char *path)
{
	char left[PATH_MAX + HB_SEEN_TEXT];
	char link[PATH_MAX];
	char *rest = left;
	unsigned int links = 0;
	int at = -1;

	if (snprintf(left, sizeof(left), "%s", path) < (int)sizeof(left))
		at = open_top();
	while (at >= 0) {
		char *name = rest + strspn(rest, "/");
		char *end = name + strcspn(name, "/");
		char keep = *end;
		ssize_t size = -1;
		int next, error;

		if (name == end) {
			(void)close(at);
			return HB_OUTSIDE_THERE;
		}
		*end = '\0';
		next = sys_openat2(at, name, O_PATH | O_NOFOLLOW, RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
		error = errno;
		*end = keep;
		rest = end;
		/* The last component is not followed. Of what is no symlink this is an error. */
		if (next >= 0 && keep != '\0')
			size = readlinkat(next, "", link, sizeof(link));
		if (next >= 0 && size < 0) {
			(void)close(at);
			at = next;
			continue;
		}
		if (next < 0) {
			(void)close(at);
			return error == EXDEV ? HB_OUTSIDE_UNLOOKED : HB_OUTSIDE_ABSENT;
		}
		(void)close(next);
		if (++links > LINKS || (size_t)size + strlen(rest) >= sizeof(left)) {
			(void)close(at);
			return HB_OUTSIDE_ABSENT;
		}
		memmove(left + size, rest, strlen(rest) + 1);
		memcpy(left, link, (size_t)size);
		rest = left;
		if (left[0] == '/') {
			(void)close(at);
			at = open_top();
		}
	}
	return HB_OUTSIDE_ABSENT;
}
