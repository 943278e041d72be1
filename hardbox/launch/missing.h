/* What a program looked for in many places and found in none (--explain).  Used by: observe.c, tell.c. */
#ifndef HB_MISSING_H
#define HB_MISSING_H

#include <linux/seccomp.h>

#include "observe.h"

enum hb_sought { HB_SOUGHT_NOTHING, HB_SOUGHT_PROGRAM, HB_SOUGHT_LIBRARY };

/* What an observed call was looking for by name (observe.c). */
enum hb_sought observe_sought(const struct hb_seen *seen);

/* It is not there, neither inside nor, as far as the caller sees, on the host. */
void missing_note(const struct hb_seen *seen, enum hb_sought sought);
/* Something is there at `path`: a program of the same name does not miss it any more. */
void missing_found(int listener, const struct seccomp_notif *call, const char *path, enum hb_sought sought);
/* Keep what was found nowhere until the end. */
void missing_end(void);

#endif
