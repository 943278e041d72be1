/* What lies below /proc and /dev, which is not looked at: what is called self there is another one for
 * the supervisor.
 *
 * Run by: the supervisor, with --explain only. */
#include "special.h"

#include <limits.h>
#include <string.h>
#include <sys/vfs.h>

#include <linux/magic.h>

int is_special(const char *path)
{
	char plain[2 * PATH_MAX];
	size_t used = 0;

	while (*path != '\0') {
		const char *name = path + strspn(path, "/");
		size_t length = strcspn(name, "/");

		path = name + length;
		if (length == 0 || (length == 1 && name[0] == '.'))
			continue;
		if (length == 2 && name[0] == '.' && name[1] == '.') {
			while (used > 0 && plain[--used] != '/')
				;
			continue;
		}
		/* It never grows: each name here had a slash before it there. */
		plain[used++] = '/';
		memcpy(plain + used, name, length);
		used += length;
	}
	plain[used] = '\0';
	return strncmp(plain, "/proc/", 6) == 0 || strncmp(plain, "/dev/", 5) == 0;
}

int is_proc(int found)
{
	struct statfs mount;

	return fstatfs(found, &mount) == 0 && mount.f_type == PROC_SUPER_MAGIC;
}
