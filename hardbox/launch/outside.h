/* Whether the host has something of a name that the job chose.
 *
 * Used by: seen.c. */
#ifndef HB_OUTSIDE_H
#define HB_OUTSIDE_H

enum hb_outside {
	HB_OUTSIDE_ABSENT,
	HB_OUTSIDE_THERE,
	HB_OUTSIDE_UNLOOKED, /* it lies behind another mount, which was not asked */
};

/* `path` is absolute; its last component is not followed. */
enum hb_outside outside(const char *path);

#endif
