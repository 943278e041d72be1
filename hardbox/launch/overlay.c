/* Writable layers in memory over directories of the new root.
 *
 * Run by: init, before it drops anything. */
#include "newmount.h"
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"

/* Overlays need upper and work directories that are attached somewhere in this namespace
 * (kernels before 6.15), so a tmpfs stands in the new root while they are made. */
int step_stage(struct hb_init *init, const struct hb_step *step)
{
	int mount_fd = new_tmpfs(step->field[1].number, step->field[2].number, 0700,
				 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);

	if (mount_fd < 0)
		return -1;
	return closing(attach(init, mount_fd, step->field[0].string), mount_fd);
}

static int overlay_option(int fs, const char *key, const char *stage, uint32_t number, char what)
{
	char path[64];
	int length = snprintf(path, sizeof(path), "%s/%c%u", stage, what, number);

	if (length < 0 || (size_t)length >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return fsconfig(fs, FSCONFIG_SET_STRING, key, path, 0);
}

/* overlay: field 0 is the directory of the new root that gets a writable layer, field 1
 * the stage. Names on the stage are ours (l0, u0, w0), so no path of the caller ever
 * stands in a mount option. */
int step_overlay(struct hb_init *init, const struct hb_step *step)
{
	const char *dest = step->field[0].string;
	const char *stage = relative(step->field[1].string);
	int base = sys_openat2(init->root, stage, O_PATH | O_DIRECTORY, BENEATH);
	int lower = open_dest(init, dest);
	struct stat like;
	char name[3][16];
	int made = base >= 0 && lower >= 0 && fstat(lower, &like) == 0 ? 0 : -1;

	for (int i = 0; made == 0 && i < 3; i++) {
		int length = snprintf(name[i], sizeof(name[i]), "%c%u", "luw"[i], init->overlays);

		made = length > 0 ? mkdirat(base, name[i], 0755) : -1;
	}
	if (made == 0)
		made = fchmodat(base, name[1], like.st_mode & 0777, 0);
	if (made == 0) {
		int at = openat(base, name[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
		int tree = at < 0 ? -1
				  : open_tree(lower, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
							     AT_EMPTY_PATH | AT_RECURSIVE);

		made = tree < 0 ? -1
				: move_mount(tree, "", at, "",
					     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
		(void)closing(closing(0, tree), at);
	}

	/* Paths in options are resolved from the working directory: the new root. */
	int fs = made == 0 && fchdir(init->root) == 0 ? fsopen("overlay", FSOPEN_CLOEXEC) : -1;
	int result = -1;

	if (fs >= 0 && overlay_option(fs, "lowerdir", stage, init->overlays, 'l') == 0 &&
	    overlay_option(fs, "upperdir", stage, init->overlays, 'u') == 0 &&
	    overlay_option(fs, "workdir", stage, init->overlays, 'w') == 0 &&
	    fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
		int mount_fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)step->field[2].number);

		result = mount_fd < 0 ? -1 : attach(init, mount_fd, dest);
		(void)closing(0, mount_fd);
	}
	init->overlays++;
	return closing(closing(closing(result, fs), lower), base);
}

/* The overlays hold their own clones of the stage; the place itself goes. */
int step_unstage(struct hb_init *init, const struct hb_step *step)
{
	const char *path = relative(step->field[0].string);

	parent_forget(init);
	if (fchdir(init->root) < 0 || umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return -1;
	return unlinkat(init->root, path, AT_REMOVEDIR);
}
