/* Whether places in memory were full (--explain).  Used by: notify.c, tell.c. */
#ifndef HB_SCRATCH_H
#define HB_SCRATCH_H

#include "plan.h"

/* In `flags` of struct hb_seen: of what nothing was left. */
#define HB_FULL_BYTES 1u
#define HB_FULL_FILES 2u
/* In `mode`: it was so at the end too. */
#define HB_FULL_AT_END 1u

/* Look at each place, once the job's root is known. */
void scratch_look(const struct hb_plan *plan);
/* Everything inside has ended: look once more, and keep what was seen. */
void scratch_end(void);

#endif
