/* What lies below /proc and /dev, which is not looked at.
 *
 * Used by: observe.c. */
#ifndef HB_SPECIAL_H
#define HB_SPECIAL_H

/* Whether an absolute path, shorter than two of PATH_MAX, is one of them by its letters, however
 * it is spelt. */
int is_special(const char *path);
/* Whether a descriptor is of proc: a symlink of the job's leads there too. */
int is_proc(int found);

#endif
