/* Handing on what was refused.  Used by: supervisor.c. */
#ifndef HB_TELL_H
#define HB_TELL_H

#include "launch.h"

/* To a caller who wants records; nothing if nothing was refused. */
void denials_record(const struct launch *launch);
/* To a caller without: `hardbox` beside this program explains it on stderr. Never changes how the
 * launch ends: where that cannot be had, one line says so. */
void denials_explain(const struct launch *launch);

#endif
