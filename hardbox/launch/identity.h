/* Host ids of a sandbox: leases, id maps, idmapped trees.  Used by: supervisor.c. */
#ifndef HB_IDENTITY_H
#define HB_IDENTITY_H

#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

struct hb_lease {
	int fd;		/* holds the lock as long as it is open; -1: no lease needed */
	uint32_t base;	/* first host id of this sandbox; 0 without a lease */
	uint32_t size;
};

/* Take a range of host ids that no other live sandbox has. 0, or -1 and errno (EBUSY: all
 * ranges are taken); *step is the 1-based step to blame. */
int lease_take(const struct hb_plan *plan, struct hb_lease *lease, uint32_t *step);

/* Write the id maps of process `pid`, directly or through newuidmap(1) and newgidmap(1). 0, or
 * -1 and errno; *step is the 1-based step to blame: the first row of the map, a row that is
 * wrong by itself, or the step that names the helpers. */
int maps_write(const struct hb_plan *plan, const struct hb_lease *lease, pid_t pid, uint32_t *step);

/* A caller whom the kernel spares when memory runs out (sshd, a service manager) must not hand
 * that on to the job. Raising the score needs no privilege. 0, or -1 and errno. */
int protection_lift(pid_t pid);

/* A user namespace that carries an id map for trees: disk owner -> host id, user and group; fd -1: none. */
struct hb_idmap {
	uint32_t number[4];
	int fd;
};

/* Clone the tree of a TREE step, idmapped; gives a descriptor, or -1 and errno. `map` is kept for the next
 * one, most of which have the same: to make it takes a process. */
int tree_open(const struct hb_step *step, const struct hb_lease *lease, struct hb_idmap *map);

#endif
