/* Trees of the host on their way into a sandbox: cloned outside, attached inside.
 *
 * Used by: supervisor.c, init.c, hold.c, trees.c. */
#ifndef HB_TREES_H
#define HB_TREES_H

#include <stdint.h>

#include "identity.h"
#include "init.h"
#include "plan.h"

/* How many TREE steps a plan has. */
uint32_t trees_of(const struct hb_plan *plan);
/* The supervisor's part: clone all but the first `had`, and send them. 0, or -1 and errno; *step is the
 * 1-based step to blame. */
int trees_send(const struct hb_plan *plan, const struct hb_lease *lease, int control, uint32_t had,
	       uint32_t *step);
/* Init's part: receive all of its plan that it has not. As trees_send. */
int trees_receive(struct hb_init *init, uint32_t *step);

#endif
