/* The steps that build the root: new mount API, descriptor-relative, no path resolved
 * twice. Destinations are looked up beneath the new root and never through a symlink, so
 * a hostile tree that was already attached cannot lead a later step anywhere else.
 *
 * Run by: init, before it drops anything. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "newmount.h"
#include "place.h"
#include "sys.h"

/* Attach a clone of what `source` refers to. */
static int attach_clone(struct hb_init *init, int source, const char *dest, uint64_t set,
			int recursive)
{
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
			     (recursive ? AT_RECURSIVE : 0u);
	int tree = open_tree(source, "", flags);

	if (tree < 0)
		return -1;
	if (set_attributes(tree, set, 0, recursive) < 0)
		return closing(-1, tree);
	return closing(attach(init, tree, dest), tree);
}

static int step_bind(struct hb_init *init, const struct hb_step *step)
{
	int recursive = (step->field[3].number & HB_BIND_RECURSIVE) != 0;
	int source = open_source(step->field[0].string);

	if (source < 0)
		return -1;
	return closing(attach_clone(init, source, step->field[1].string, step->field[2].number,
				    recursive),
		       source);
}

static int step_attach(struct hb_init *init, const struct hb_step *step)
{
	uint64_t slot = step->field[0].number;

	if (slot >= init->tree_count) {
		errno = EINVAL;
		return -1;
	}

	int tree = init->trees[slot];

	init->trees[slot] = -1; /* it can be attached once */
	if (set_attributes(tree, step->field[2].number, 0, 1) < 0)
		return closing(-1, tree);
	return closing(attach(init, tree, step->field[1].string), tree);
}

/* A device node is what its inode says, not what its name says (CVE-2025-31133). */
static int step_device(struct hb_init *init, const struct hb_step *step)
{
	struct stat found;
	int source = open_host(step->field[0].string);

	if (source < 0)
		return -1;
	if (fstat(source, &found) < 0)
		return closing(-1, source);
	if (!S_ISCHR(found.st_mode) ||
	    found.st_rdev != makedev((unsigned int)step->field[2].number,
				     (unsigned int)step->field[3].number)) {
		errno = ENODEV;
		return closing(-1, source);
	}
	return closing(attach_clone(init, source, step->field[1].string,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0),
		       source);
}

static int step_new_root(struct hb_init *init, const struct hb_step *step)
{
	int root = new_tmpfs(step->field[1].number, step->field[2].number, 0755,
			     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);

	if (root < 0)
		return -1;
	if (move_mount(root, "", AT_FDCWD, step->field[0].string, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return closing(-1, root);
	init->root = root;
	return 0;
}

static int step_make_dir(struct hb_init *init, const struct hb_step *step)
{
	const char *name;
	int parent = parent_of(init, step->field[0].string, &name);
	mode_t mode = (mode_t)step->field[1].number & 07777;

	if (parent < 0)
		return -1;
	if (mkdirat(parent, name, mode) < 0) {
		/* It may be there already, as a real directory, and then stays as it is. */
		int there = errno == EEXIST || errno == EROFS
				? sys_openat2(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, BENEATH)
				: -1;

		return closing(there < 0 ? -1 : 0, there);
	}
	return 0;
}

static int step_symlink(struct hb_init *init, const struct hb_step *step)
{
	const char *name;
	int parent = parent_of(init, step->field[1].string, &name);

	return parent < 0 ? -1 : symlinkat(step->field[0].string, parent, name);
}

static int step_write_file(struct hb_init *init, const struct hb_step *step)
{
	const char *name;
	int parent = parent_of(init, step->field[0].string, &name);
	mode_t mode = (mode_t)step->field[1].number & 0777;

	if (parent < 0)
		return -1;

	int file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (file < 0)
		return -1;

	int result = write_whole(file, step->field[2].bytes, step->field[2].length);

	if (result == 0)
		result = fchmod(file, mode);
	return closing(result, file);
}

static int step_tmpfs(struct hb_init *init, const struct hb_step *step)
{
	int mount_fd = new_tmpfs(step->field[1].number, step->field[2].number,
				 step->field[3].number, step->field[4].number);

	if (mount_fd < 0)
		return -1;
	return closing(attach(init, mount_fd, step->field[0].string), mount_fd);
}

/* proc and devpts: no options that matter beyond their own instance. */
static int new_instance(struct hb_init *init, const char *type, const char *dest,
			uint64_t attributes)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC);

	if (fs < 0)
		return -1;
	if (strcmp(type, "devpts") == 0 &&
	    (fsconfig(fs, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0) < 0 ||
	     fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0620", 0) < 0 ||
	     /* All instances share the host's number of terminals. */
	     fsconfig(fs, FSCONFIG_SET_STRING, "max", "64", 0) < 0))
		return closing(-1, fs);
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return closing(-1, fs);

	int mount_fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)attributes);

	if (mount_fd < 0)
		return closing(-1, fs);
	return closing(closing(attach(init, mount_fd, dest), mount_fd), fs);
}

static int step_sysctl(const struct hb_init *init, const struct hb_step *step)
{
	int file = sys_openat2(init->root, relative(step->field[0].string), O_WRONLY, BENEATH);

	if (file < 0)
		return -1;
	return closing(write_whole(file, step->field[1].string, step->field[1].length), file);
}

/* Cover `field 1` with `field 0`, both in the new root: /dev/null over a file, an empty
 * directory over a directory. What this kernel does not have needs no cover. */
static int step_mask(struct hb_init *init, const struct hb_step *step)
{
	struct hb_cover *cover = &init->cover;
	int there = open_dest(init, step->field[1].string);
	int again = cover->fd >= 0 && strcmp(cover->path, step->field[0].string) == 0;

	if (there < 0)
		return errno == ENOENT ? 0 : -1;
	parent_forget(init);

	int from = again ? cover->fd : open_dest(init, step->field[0].string);
	/* A clone has the attributes of what it was cloned from. */
	int tree = from < 0 ? -1 : open_tree(from, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	int result = tree < 0 ? -1 : 0;

	if (result == 0 && !again)
		result = set_attributes(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0);
	if (result == 0)
		result = move_mount(tree, "", there, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	result = closing(result, there);
	if (again)
		return closing(result, tree);
	result = closing(closing(result, from), cover->fd);
	*cover = (struct hb_cover){.path = step->field[0].string, .fd = tree};
	return result;
}

static int step_attributes(const struct hb_init *init, const struct hb_step *step)
{
	int at = open_dest(init, step->field[0].string);

	if (at < 0)
		return -1;
	return closing(set_attributes(at, step->field[1].number, step->field[2].number,
				      step->field[3].number != 0),
		       at);
}

/* pivot_root(2) with new_root and put_old the same: the old root ends up on top of the
 * new one and is detached, so no directory for it is needed and nothing of it remains. */
static int step_pivot_root(struct hb_init *init)
{
	if (fchdir(init->root) < 0 || sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0)
		return -1;
	parent_forget(init);
	(void)closing(0, init->cover.fd);
	(void)closing(0, init->root);
	init->cover.fd = -1;
	init->root = -1;
	return 0;
}

int mount_step(struct hb_init *init, const struct hb_step *step)
{
	switch (step->kind) {
	case HB_PRIVATE:
		return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	case HB_NEW_ROOT:
		return step_new_root(init, step);
	case HB_MAKE_DIR:
		return step_make_dir(init, step);
	case HB_SYMLINK:
		return step_symlink(init, step);
	case HB_WRITE_FILE:
		return step_write_file(init, step);
	case HB_BIND:
		return step_bind(init, step);
	case HB_ATTACH:
		return step_attach(init, step);
	case HB_DEVICE:
		return step_device(init, step);
	case HB_TMPFS:
		return step_tmpfs(init, step);
	case HB_STAGE:
		return step_stage(init, step);
	case HB_OVERLAY:
		return step_overlay(init, step);
	case HB_UNSTAGE:
		return step_unstage(init, step);
	case HB_PROC:
		return new_instance(init, "proc", step->field[0].string,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	case HB_DEVPTS:
		return new_instance(init, "devpts", step->field[0].string,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	case HB_SYSCTL:
		return step_sysctl(init, step);
	case HB_MASK:
		return step_mask(init, step);
	case HB_ATTRIBUTES:
		return step_attributes(init, step);
	case HB_PIVOT_ROOT:
		return step_pivot_root(init);
	default:
		errno = EINVAL;
		return -1;
	}
}
