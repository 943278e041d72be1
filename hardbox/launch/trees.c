/* Trees of the host on their way into a sandbox.
 *
 * Only the supervisor can clone them with an id map; only init can attach them. It has all of them as
 * descriptors before it begins, since by then the supervisor has other things to do.
 *
 * Run by: the supervisor (trees_send), init (trees_receive). */
#include "trees.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io.h"
#include "wire.h"

/* What init has beside them: fewer than this. */
#define OTHERS 64u

uint32_t trees_of(const struct hb_plan *plan)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < plan->count; i++)
		count += plan->steps[i].kind == HB_TREE ? 1u : 0u;
	return count;
}

int trees_send(const struct hb_plan *plan, const struct hb_lease *lease, int control, uint32_t had,
	       uint32_t *step)
{
	struct hb_idmap map = {.fd = -1};
	uint32_t seen = 0;
	int result = 0;

	for (uint32_t i = 0; i < plan->count && result == 0; i++) {
		if (plan->steps[i].kind != HB_TREE || seen++ < had)
			continue;

		int tree = tree_open(&plan->steps[i], lease, &map);

		*step = i + 1;
		result = tree < 0 ? -1 : closing(descriptor_send(control, HB_GO, tree), tree);
	}
	return closing(result, map.fd);
}

/* A caller's limit may be lower than what is needed for a moment; the job's own comes with its plan. */
static int make_room(uint32_t count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	if (limit.rlim_cur >= count + OTHERS)
		return 0;
	limit.rlim_cur = limit.rlim_max < count + OTHERS ? limit.rlim_max : count + OTHERS;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

int trees_receive(struct hb_init *init, uint32_t *step)
{
	const uint32_t had = init->tree_count;
	const uint32_t count = trees_of(init->plan);
	uint32_t seen = 0;

	*step = 0;
	if (count == had)
		return 0;
	if (count > HB_TREES_MAX) {
		errno = E2BIG;
		return -1;
	}

	int *trees = realloc(init->trees, count * sizeof(*trees));

	if (trees == NULL)
		return -1;
	init->trees = trees;
	if (make_room(count) < 0)
		return -1;
	for (uint32_t i = 0; i < init->plan->count; i++) {
		if (init->plan->steps[i].kind != HB_TREE || seen++ < had)
			continue;
		*step = i + 1;
		init->trees[init->tree_count] = descriptor_receive(init->control);
		if (init->trees[init->tree_count++] < 0)
			return -1;
	}
	return 0;
}
