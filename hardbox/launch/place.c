/* Looking up a place in the new root, and putting a mount there. A place is looked up beneath
 * the root's descriptor and never through a symlink.
 *
 * Run by: init, in the steps that build the root. */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "newmount.h"
#include "sys.h"

const char *relative(const char *path)
{
	while (*path == '/')
		path++;
	return *path == '\0' ? "." : path;
}

int open_dest(const struct hb_init *init, const char *path)
{
	return sys_openat2(init->root, relative(path), O_PATH | O_NOFOLLOW, BENEATH);
}

void parent_forget(struct hb_init *init)
{
	(void)closing(0, init->parent.fd);
	init->parent.fd = -1;
}

/* Only a directory of the root's own tmpfs is kept, which is init's alone: nobody else can move it, or put a
 * symlink in its place, while it is open. */
int parent_of(struct hb_init *init, const char *path, const char **name)
{
	struct hb_parent *parent = &init->parent;
	const char *inside = relative(path);
	const char *slash = strrchr(inside, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - inside);

	*name = slash == NULL ? inside : slash + 1;
	if (length == 0)
		return init->root;
	if (length >= sizeof(parent->path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (parent->fd >= 0 && parent->kept && strncmp(parent->path, inside, length) == 0 &&
	    parent->path[length] == '\0')
		return parent->fd;
	parent_forget(init);
	memcpy(parent->path, inside, length);
	parent->path[length] = '\0';
	parent->fd = sys_openat2(init->root, parent->path, O_PATH | O_DIRECTORY, BENEATH | RESOLVE_NO_XDEV);
	parent->kept = parent->fd >= 0;
	if (parent->fd < 0 && errno == EXDEV)
		parent->fd = sys_openat2(init->root, parent->path, O_PATH | O_DIRECTORY, BENEATH);
	return parent->fd;
}

/* Whether a mount at `dest` covers the directory that is kept. */
static int covers(const char *dest, const struct hb_parent *parent)
{
	const char *inside = relative(dest);
	size_t length = strlen(inside);

	return parent->fd >= 0 && strncmp(parent->path, inside, length) == 0 &&
	       (parent->path[length] == '\0' || parent->path[length] == '/');
}

int set_attributes(int fd, uint64_t set, uint64_t clear, int recursive)
{
	struct mount_attr attributes = {
	    .attr_set = set, .attr_clr = clear, .propagation = MS_PRIVATE};
	unsigned int flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u);

	return mount_setattr(fd, "", flags, &attributes, sizeof(attributes));
}

int attach(struct hb_init *init, int mount_fd, const char *dest)
{
	int at = open_dest(init, dest);

	if (covers(dest, &init->parent))
		parent_forget(init);
	if (at < 0)
		return -1;
	return closing(move_mount(mount_fd, "", at, "",
				  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
		       at);
}

static int set_number(int fs, const char *key, uint64_t value)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	if (length < 0 || (size_t)length >= sizeof(text)) {
		errno = EOVERFLOW;
		return -1;
	}
	return fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0);
}

int new_tmpfs(uint64_t size, uint64_t inodes, uint64_t mode, uint64_t attributes)
{
	char octal[8];
	int length = snprintf(octal, sizeof(octal), "%04o", (unsigned int)(mode & 07777));

	/* For the kernel 0 means: no limit. */
	if (length != 4 || size == 0 || inodes == 0) {
		errno = EINVAL;
		return -1;
	}

	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0)
		return -1;
	if (set_number(fs, "size", size) < 0 || set_number(fs, "nr_inodes", inodes) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", octal, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return closing(-1, fs);
	return closing(fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)attributes), fs);
}
