/* Places in the new root.  Used by: mounts.c, overlay.c. */
#ifndef HB_PLACE_H
#define HB_PLACE_H

#include <stdint.h>

#include <linux/openat2.h>

#include "init.h"
#include "io.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/* Absolute path of the sandbox -> relative to the new root. */
const char *relative(const char *path);
/* O_PATH descriptor of `path` in the new root, or -1. */
int open_dest(const struct hb_init *init, const char *path);
/* The parent directory of `path` in the new root, which stays init's, and *name pointed at the path's last
 * part; or -1. Good until the next call. */
int parent_of(struct hb_init *init, const char *path, const char **name);
/* What parent_of() keeps is no longer what stands there. */
void parent_forget(struct hb_init *init);
/* mount_setattr(2) on a descriptor; propagation becomes private. */
int set_attributes(int fd, uint64_t set, uint64_t clear, int recursive);
/* Move a detached mount to `dest` of the new root. */
int attach(struct hb_init *init, int mount_fd, const char *dest);
/* A detached tmpfs of at most `size` bytes and `inodes` files, neither of them 0. */
int new_tmpfs(uint64_t size, uint64_t inodes, uint64_t mode, uint64_t attributes);

/* The steps of overlay.c. */
int step_stage(struct hb_init *init, const struct hb_step *step);
int step_overlay(struct hb_init *init, const struct hb_step *step);
int step_unstage(struct hb_init *init, const struct hb_step *step);

#endif
