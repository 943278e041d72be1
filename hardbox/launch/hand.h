/* A second process for what init would only wait for.  Used by: init.c, mounts.c. */
#ifndef HB_HAND_H
#define HB_HAND_H

#include <sys/types.h>

/* One per sandbox. Without a helper (pid 0) init does all of it by itself, at the same places. */
struct hb_hand {
	pid_t pid;
	int socket;  /* to the helper; -1: there is none */
	int network; /* the network namespace is still to be made, or to be joined */
};

/* Start it, if clone3() has made no network namespace (`network`). */
void hand_start(struct hb_hand *hand, int network);
/* From here on the caller is in the sandbox's own network namespace. 0, or -1 and errno. */
int hand_network(struct hb_hand *hand);
/* Wait until the helper is gone; nothing may run before. 0, or -1 and errno. */
int hand_end(struct hb_hand *hand);

#endif
