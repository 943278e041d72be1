/* Sealed decisions: a plan that was made before for the very same request.  Used by: hardbox.c. */
#ifndef HB_SEAL_H
#define HB_SEAL_H

#include <limits.h>

#define HB_SEAL_HEX 65

struct hb_seal {
	char key[HB_SEAL_HEX];	/* "": nothing of this request may be sealed */
	char plan[PATH_MAX];	/* "": there is no valid seal, decide anew */
	int command;		/* index in argv of the command */
};

/* Look for a seal of `hardbox run ...`. Whatever is not exactly as it was when the decision
 * was made, or cannot be looked at, leaves seal->plan empty: that is never an error. */
void seal_find(struct hb_seal *seal, int argc, char **argv);

#endif
