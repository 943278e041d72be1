/* What no plan may leave out, whoever wrote it: a mistake of the front end or a file that was
 * tampered with must not turn into a job that runs without its walls. Values that only a
 * profile can judge (which paths, which filter) are the front end's matter.
 *
 * Run by: the supervisor, through plan_decode(). */
#include "cgroup.h"
#include "newmount.h"
#include "plan.h"

#include <string.h>

#include <linux/capability.h>
#include <linux/sched.h>

#define NAMESPACES_SIX                                                                           \
	((uint64_t)CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |    \
	 CLONE_NEWUTS)
#define MOUNT_ALWAYS ((uint64_t)MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define MOUNT_KNOWN (MOUNT_ALWAYS | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC)
/* The one capability that the Pod Security "restricted" standard leaves to a job. */
#define CAPABILITIES_KNOWN (1ull << CAP_NET_BIND_SERVICE)

static uint32_t plan_count(const struct hb_plan *plan, enum hb_kind kind)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < plan->count; i++)
		found += plan->steps[i].kind == kind ? 1u : 0u;
	return found;
}

static uint64_t number(const struct hb_plan *plan, enum hb_kind kind, int field)
{
	return plan_find(plan, kind)->field[field].number;
}

/* Each exactly once, and in this order: nothing is mounted before mounts are private, no
 * capability is given up before it has been needed, and the filter comes last. */
static const char *order(const struct hb_plan *plan)
{
	static const enum hb_kind needed[] = {
	    HB_BECOME,	 HB_PRIVATE,	  HB_NEW_ROOT,	   HB_PIVOT_ROOT, HB_TERMINAL,
	    HB_KEYRING,	 HB_NORMALISE,	  HB_NO_NEW_PRIVS, HB_SECUREBITS, HB_DROP_BOUNDING_SET,
	    HB_SET_IDS,	 HB_SET_CAPS,	  HB_CLOSE_FDS,	   HB_SECCOMP,	  HB_EXEC,
	};
	static const enum hb_kind single[] = {HB_HOST, HB_NAMESPACES, HB_STDIO};
	static const enum hb_kind optional[] = {HB_ID_LEASE, HB_MAP_HELPERS, HB_WALL,  HB_OUTPUT,
					       HB_LANDLOCK, HB_WATCH,	     HB_POLICY};
	const struct hb_step *before = NULL;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		const struct hb_step *step = plan_find(plan, needed[i]);

		if (plan_count(plan, needed[i]) != 1)
			return "a step of the floor is missing or stands twice";
		if (before != NULL && step < before)
			return "a step of the floor stands in the wrong place";
		before = step;
	}
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		if (plan_count(plan, single[i]) != 1)
			return "a step of the floor is missing or stands twice";
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (plan_count(plan, optional[i]) > 1)
			return "a step that there can be one of stands twice";
	if (plan->steps[plan->count - 1].kind != HB_EXEC ||
	    plan->steps[plan->count - 2].kind != HB_SECCOMP)
		return "it does not end with seccomp and exec";
	if (plan_count(plan, HB_LANDLOCK) != plan_count(plan, HB_LANDLOCK_ENFORCE))
		return "its second wall is not enforced";
	return NULL;
}

static const char *phases(const struct hb_plan *plan)
{
	const struct hb_step *pivot = plan_find(plan, HB_PIVOT_ROOT);
	const struct hb_step *root = plan_find(plan, HB_NEW_ROOT);
	enum hb_phase phase = HB_PHASE_OUTSIDE;

	for (const struct hb_step *step = plan->steps; step < plan->steps + plan->count; step++) {
		if (step->phase < phase)
			return "a step stands behind a later phase";
		phase = step->phase;
		if (step->kind > HB_NEW_ROOT && step->kind < HB_PIVOT_ROOT &&
		    (step < root || step > pivot))
			return "a mount step stands outside of the building of the root";
	}
	return NULL;
}

static const char *identity(const struct hb_plan *plan)
{
	int leased = plan_find(plan, HB_ID_LEASE) != NULL;
	int helped = plan_find(plan, HB_MAP_HELPERS) != NULL;
	int root = number(plan, HB_HOST, 0) == 0;

	if (plan_find(plan, HB_MAP_UID) == NULL || plan_find(plan, HB_MAP_GID) == NULL)
		return "there is no id map";
	if (root && !leased)
		return "root's sandboxes need a range of host ids of their own";
	if ((leased || helped) && (number(plan, HB_SET_IDS, 2) & HB_SET_IDS_DROP_GROUPS) == 0)
		return "the caller's groups would stay with the job";
	for (const struct hb_step *step = plan->steps; step < plan->steps + plan->count; step++) {
		if (step->kind != HB_MAP_UID && step->kind != HB_MAP_GID)
			continue;

		/* Field 3 says whether field 1 counts from the lease's base, which is checked
		 * against the lease when it is taken. */
		uint64_t first = step->field[1].number;
		uint64_t count = step->field[2].number;
		int relative = step->field[3].number != 0;

		if (count == 0 || first + count > UINT32_MAX || (!relative && first == 0))
			return "an id map reaches host id 0 or is empty";
		if (relative != leased)
			return "an id map is not of the range that is taken";
	}
	return NULL;
}

/* One limit: of the controller that its cgroup is for, and nothing else is written. first: of the
 * plan; alone: it is of version 1's second cgroup, for CPU bandwidth. */
static const char *limit_floor(const struct hb_step *cgroup, int first, int alone,
			       const struct hb_step *limit)
{
	const char *name = limit->field[0].string;
	int second = cgroup->field[1].number == 2;

	if (first && (strcmp(name, second ? "memory.max" : "memory.limit_in_bytes") != 0 ||
		      limit->field[1].number == 0))
		return "its cgroup does not limit memory first";
	if ((second || alone) && strcmp(name, second ? "cpu.max" : "cpu.cfs_quota_us") == 0)
		return limit->field[1].number == 0 ? "its cgroup gives no CPU time" : NULL;
	if (alone || strncmp(name, "memory.", strlen("memory.")) != 0 || strchr(name, '/') != NULL)
		return "it writes a file of a cgroup that is none of its limits";
	return NULL;
}

/* A cgroup without a limit, or a limit without its cgroup, would be a promise that nobody keeps. */
static const char *limits_floor(const struct hb_plan *plan)
{
	const struct hb_step *watch = plan_find(plan, HB_WATCH);
	const struct hb_step *cgroup = NULL; /* whose limits come next */
	const struct hb_step *before = NULL;
	const struct hb_step *limited = NULL;
	int first = 1;

	if (watch != NULL && (watch->field[0].number == 0 || watch->field[1].number == 0 ||
			      watch->field[2].number < watch->field[1].number))
		return "its watch has no limit or no interval";
	if (watch != NULL && plan_find(plan, HB_CGROUP) != NULL)
		return "its cgroup is watched beside";
	if (plan_count(plan, HB_CGROUP) > HB_CGROUPS_MAX)
		return "it has more cgroups than a sandbox needs";
	for (const struct hb_step *step = plan->steps; step < plan->steps + plan->count; step++) {
		if (step->kind == HB_CGROUP) {
			uint64_t version = step->field[1].number;

			if (version != 1 && version != 2)
				return "there is no such version of cgroups";
			/* Version 2 has all controllers in one. */
			if (cgroup != NULL && (version != 1 || cgroup->field[1].number != 1))
				return "a second cgroup is version 1's alone";
			if (cgroup != NULL && first)
				return "its cgroup limits nothing";
			before = cgroup;
			cgroup = step;
		}
		if (step->kind != HB_CGROUP_LIMIT)
			continue;
		if (cgroup == NULL)
			return "a limit of a cgroup has no cgroup";

		const char *why = limit_floor(cgroup, first, before != NULL, step);

		if (why != NULL)
			return why;
		first = 0;
		limited = cgroup;
	}
	return cgroup != limited ? "its cgroup limits nothing" : NULL;
}

static int only_slashes(const char *path)
{
	return path[strspn(path, "/")] == '\0';
}

/* A /proc that can be written holds uid_map, sysctls and the memory of processes. */
static int becomes_read_only(const struct hb_plan *plan, const struct hb_step *proc)
{
	for (const struct hb_step *step = proc; step < plan->steps + plan->count; step++)
		if (step->kind == HB_ATTRIBUTES && (step->field[1].number & MOUNT_ATTR_RDONLY) != 0 &&
		    strcmp(step->field[0].string, proc->field[0].string) == 0)
			return 1;
	return 0;
}

static int plain_mount(uint64_t attributes)
{
	return (attributes & MOUNT_ALWAYS) == MOUNT_ALWAYS && (attributes & ~MOUNT_KNOWN) == 0;
}

static const char *mount_floor(const struct hb_plan *plan, const struct hb_step *step)
{
	int plain = 1;

	switch (step->kind) {
	case HB_TREE:
		plain = !only_slashes(step->field[0].string);
		break;
	case HB_BIND:
		plain = plain_mount(step->field[2].number) && !only_slashes(step->field[0].string);
		break;
	case HB_ATTACH:
	case HB_OVERLAY:
		plain = plain_mount(step->field[2].number);
		break;
	case HB_TMPFS:
		plain = plain_mount(step->field[4].number);
		break;
	case HB_ATTRIBUTES:
		plain = plain_mount(step->field[1].number) && step->field[2].number == 0;
		break;
	case HB_PROC:
		plain = becomes_read_only(plan, step);
		break;
	default:
		break;
	}
	return plain ? NULL : "a mount shows the host's root, or device files, or is not locked down";
}

/* The job's network is made while init still has the rights to; what it may do later is nobody's to add to. */
static const char *network_floor(const struct hb_plan *plan)
{
	const struct hb_step *last = plan_find(plan, HB_NO_NEW_PRIVS);

	for (const struct hb_step *step = last; step < plan->steps + plan->count; step++)
		if (step->kind == HB_LISTEN || step->kind == HB_LOCAL_ROUTE)
			return "the job's network is made behind the giving up of rights";
	return NULL;
}

const char *plan_below_floor(const struct hb_plan *plan)
{
	const char *why = order(plan);

	if (why == NULL)
		why = phases(plan);
	if (why == NULL)
		why = identity(plan);
	if (why == NULL)
		why = limits_floor(plan);
	if (why == NULL)
		why = network_floor(plan);
	if (why != NULL)
		return why;

	uint64_t flags = number(plan, HB_NAMESPACES, 0);
	uint64_t keep = number(plan, HB_SET_CAPS, 0);

	if ((flags & NAMESPACES_SIX) != NAMESPACES_SIX ||
	    (flags & ~(NAMESPACES_SIX | CLONE_NEWCGROUP)) != 0)
		return "the namespaces are not the six (and cgroup)";
	if ((number(plan, HB_STDIO, 0) &
	     ~(uint64_t)(HB_STDIO_REOPEN_PIPES | HB_STDIO_RELAY_SOCKETS | HB_STDIO_RELAY_FILES)) != 0)
		return "it lets in descriptors that no job may have";
	if ((keep & ~CAPABILITIES_KNOWN) != 0 || number(plan, HB_DROP_BOUNDING_SET, 0) != keep)
		return "it keeps a capability that no job may have";
	if (number(plan, HB_SECCOMP, 1) > HB_SECCOMP_WATCH)
		return "it asks for an unknown way of listening to the filter";
	for (uint32_t i = 0; i < plan->count && why == NULL; i++)
		why = mount_floor(plan, &plan->steps[i]);
	return why;
}
