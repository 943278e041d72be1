/* A cgroup for one sandbox.  Used by: limits.c, watch.c, supervisor.c, init.c, floor.c. */
#ifndef HB_CGROUP_H
#define HB_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

#define HB_CGROUP_PREFIX "hardbox-"
/* One that holds memory, and with version 1, where each controller has a hierarchy of its own, one
 * that holds CPU bandwidth. */
#define HB_CGROUPS_MAX 2

struct hb_cgroup {
	int place;	  /* the folder that it is made in; -1: there is no cgroup */
	int folder;	  /* the cgroup itself; locked as long as this is open */
	int tasks;	  /* version 1: the file through which init moves itself; else -1 */
	uint32_t version; /* 1 or 2; 0: there is none */
	char name[32];
};

/* Make the cgroup of a CGROUP step, locked. 0, or -1 and errno (ENOTSUP: the place is no cgroup of
 * this version). */
int cgroup_make(const struct hb_step *step, struct hb_cgroup *cgroup);
/* Set one limit of a CGROUP_LIMIT step. 0, or -1 and errno. */
int cgroup_limit(const struct hb_cgroup *cgroup, const struct hb_step *step);
/* A descriptor on which poll(2) reports that memory runs out, or -1 and errno: POLLIN with version 1;
 * POLLPRI alone with version 2, whose files are always POLLIN. */
int cgroup_events(const struct hb_cgroup *cgroup);
/* Take note of such a report, so that the descriptor is silent until the next one. */
void cgroup_events_seen(const struct hb_cgroup *cgroup, int events);
/* How often the job stood at its limit; 0 if that cannot be read. */
uint64_t cgroup_pressed(const struct hb_cgroup *cgroup);
/* In how many periods the job had used up its CPU bandwidth; 0 if that cannot be read. */
uint64_t cgroup_throttled(const struct hb_cgroup *cgroup);
/* How often the kernel has killed in there because its limit was reached; 0 if that cannot be read. */
uint64_t cgroup_kills(const struct hb_cgroup *cgroup);
/* End every process in there, where cgroups can. */
void cgroup_kill(const struct hb_cgroup *cgroup);
/* Remove it; one that still cannot be removed is left to cgroup_reclaim() of a later launch. */
void cgroup_remove(struct hb_cgroup *cgroup);
/* Remove what killed launchers have left beside this cgroup. */
void cgroup_reclaim(const struct hb_cgroup *cgroup);

#endif
