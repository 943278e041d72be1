/* mount(2) and the calls that came after it, as glibc 2.36 declares them; musl 1.2.3 knows the old ones alone.
 *
 * Used by: the steps that mount, in place of <sys/mount.h>. */
#ifndef HB_NEWMOUNT_H
#define HB_NEWMOUNT_H

#include <sys/mount.h>

#ifndef OPEN_TREE_CLONE
#include <stddef.h>

#include <linux/mount.h>

int open_tree(int dirfd, const char *path, unsigned int flags);
int move_mount(int from, const char *from_path, int to, const char *to_path, unsigned int flags);
int mount_setattr(int dirfd, const char *path, unsigned int flags, struct mount_attr *attributes, size_t size);
int fsopen(const char *type, unsigned int flags);
int fsconfig(int fs, unsigned int command, const char *key, const void *value, int number);
int fsmount(int fs, unsigned int flags, unsigned int attributes);
#endif

#endif
