/* The limits of a job as a whole, as its supervisor keeps them.  Used by: launch.h. */
#ifndef HB_LIMITS_H
#define HB_LIMITS_H

#include <stdint.h>

#include "cgroup.h"

struct launch;

struct hb_limits {
	struct hb_cgroup cgroups[HB_CGROUPS_MAX]; /* as the plan has them; the first one holds memory */
	const struct hb_cgroup *paced; /* the one that holds CPU bandwidth, or NULL */
	uint64_t memory;      /* bytes for the job as a whole; 0: no such limit */
	uint32_t step;	      /* the 1-based step that says so */
	int events;	      /* descriptor that tells of memory running out, or -1 */
	uint64_t look_at;     /* monotonic ns of the next look, 0: none */
	uint64_t least, most; /* ns between two looks of the watch; 0: a cgroup holds the limit */
	uint32_t again;	      /* looks left for a kill that was announced */
	uint64_t looks;
	int asked;	      /* the caller wants samples */
	uint64_t sample_at, sample_every;
	uint32_t samples;     /* taken at this interval */
	uint64_t used[3];     /* ticks, bytes read and written: what has ended may be told no more */
	uint64_t hits, peak;
	uint64_t tasks, full; /* the most tasks that were seen, and how often so many */
	uint64_t throttled; /* periods in which the CPU bandwidth was used up */
	char name[16];	      /* of the largest process when that was looked at last */
};

/* Before init is made: the cgroups of the plan, if it has any. 0, or blames and gives -1. */
int limits_prepare(struct launch *launch);
/* While init assembles the root: the cgroups' limits. The job waits for us before its exec, so they
 * are in force by then. The same. */
int limits_apply(struct launch *launch);
/* The job has been read back: may it be watched? From here on the looks are due. The same. */
int limits_begin(struct launch *launch);
/* When the next look or sample is due, in monotonic ns; 0: never. */
uint64_t limits_due(const struct launch *launch);
/* Take what is due. event: poll(2) has reported `events`. */
void limits_look(struct launch *launch, int event);
/* All has ended: count hits, tell the caller, remove the cgroups. */
void limits_end(struct launch *launch);
/* "cgroup v1", "cgroup v2" or "watched". */
const char *limits_means(const struct hb_limits *limits);

#endif
