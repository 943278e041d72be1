/* What the job asked the kernel for in vain, as far as can be told from outside (--explain).
 *
 * Used by: notify.c, tell.c. */
#ifndef HB_OBSERVE_H
#define HB_OBSERVE_H

#include <stdint.h>

#include <linux/seccomp.h>

#include "launch.h"
#include "notify.h"

#define HB_SEEN_MAX 256u
#define HB_SEEN_ADDED 48u /* beside them: what is concluded at the end */
#define HB_SEEN_UNLOOKED_MAX 64u /* of HB_SEEN_MAX: most of them are nowhere */
#define HB_SEEN_TEXT 256u

/* Bits of struct hb_seen. */
#define HB_SEEN_OUTSIDE 1u    /* on the host the caller sees something of that name */
#define HB_SEEN_READ_ONLY 2u  /* the mount */
#define HB_SEEN_NOEXEC 4u     /* the mount */
#define HB_SEEN_CUT 8u	      /* the text is longer */
#define HB_SEEN_UNREADABLE 16u /* the job's memory cannot be read: what it named is not known */
#define HB_SEEN_NOWHERE 32u /* looked for in several places, and in none; `text` is the last one */
#define HB_SEEN_UNLOOKED 128u /* outside it lies on another mount than the root, which was not asked */
#define HB_SEEN_FULL 64u /* no call: the place `text` was full; `flags` and `mode`: scratch.h */

/* One kind of observation; as it goes to the caller (hardbox/denials/seen.py). */
struct hb_seen {
	uint32_t number;
	uint32_t error; /* errno that the kernel will give, as far as can be told */
	uint32_t bits;
	uint32_t flags; /* of open(2); the address family; the first id of chown(2) and setuid(2) */
	uint32_t mode;	/* of what was found, with its owner; 0: nothing was found; tasks that were there */
	uint32_t uid;
	uint32_t gid;
	uint32_t port; /* of an internet address; the second id */
	uint64_t count;
	char comm[HB_COMM_MAX];
	char text[HB_SEEN_TEXT]; /* path, or address in words; NUL-terminated */
};

struct hb_observations {
	uint64_t dropped;
	uint32_t count;
	struct hb_seen row[HB_SEEN_MAX + HB_SEEN_ADDED];
};

/* Look at a call while it waits. 1: `seen` is worth keeping; 0: it will work, or nobody can say. */
int observe(const struct launch *launch, const struct seccomp_notif *call, struct hb_seen *seen);
/* Keep it, once the call has been let go: the job must not learn from the time that it waits
 * what the host has. */
void observe_keep(struct hb_seen *seen);
/* The job's root, O_PATH; -1 until it is known. */
int observe_root(void);
/* Open what a path leads to in there, O_PATH, through no magic link; or -1 and errno. */
int observe_find(const char *path);
/* Keep what is concluded at the end, whatever has found no room before. */
void observe_add(const struct hb_seen *seen);
const struct hb_observations *observations(void);

#endif
