/* The calls of newmount.h where the C library lacks them; otherwise nothing.  Run by: supervisor and init. */
#include <sys/mount.h>

#ifndef OPEN_TREE_CLONE
#include "newmount.h"

#include <sys/syscall.h>
#include <unistd.h>

int open_tree(int dirfd, const char *path, unsigned int flags)
{
	return (int)syscall(SYS_open_tree, dirfd, path, flags);
}

int move_mount(int from, const char *from_path, int to, const char *to_path, unsigned int flags)
{
	return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

int mount_setattr(int dirfd, const char *path, unsigned int flags, struct mount_attr *attributes, size_t size)
{
	return (int)syscall(SYS_mount_setattr, dirfd, path, flags, attributes, size);
}

int fsopen(const char *type, unsigned int flags)
{
	return (int)syscall(SYS_fsopen, type, flags);
}

int fsconfig(int fs, unsigned int command, const char *key, const void *value, int number)
{
	return (int)syscall(SYS_fsconfig, fs, command, key, value, number);
}

int fsmount(int fs, unsigned int flags, unsigned int attributes)
{
	return (int)syscall(SYS_fsmount, fs, flags, attributes);
}
#endif
