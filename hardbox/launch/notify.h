/* What the filter refuses, as the supervisor hears of it.
 *
 * Used by: watch.c, tell.c. */
#ifndef HB_NOTIFY_H
#define HB_NOTIFY_H

#include <stdint.h>

#include <linux/seccomp.h>

#include "launch.h"

#define HB_DENIALS_MAX 128u
#define HB_COMM_MAX 16u

/* One kind of refusal; as it goes to the caller (hardbox/denials/rows.py). */
struct hb_denial {
	uint32_t number;
	uint32_t architecture;
	uint32_t error;
	uint32_t looked;    /* bit N: word N of struct seccomp_data was looked at */
	uint64_t count;
	uint64_t arguments[6]; /* only what was looked at; the rest is 0 */
	char comm[HB_COMM_MAX]; /* of the thread that was first; not NUL-terminated */
};

struct hb_denials {
	uint64_t dropped; /* refusals that found no room */
	uint32_t count;
	struct hb_denial row[HB_DENIALS_MAX];
};

/* From here on `descriptor` is listened to; a second one is closed. */
void listener_take(struct launch *launch, int descriptor);
/* What to poll now: -1 if there is no listener, or it rests and has taken a call up. Answers that one when
 * the rest is over. */
int listener_poll(struct launch *launch);
/* Answer one notification; give the listener up when nobody is left who could make one. */
void on_listener(struct launch *launch, short events);
/* The name of the thread that makes a call; empty if it is gone. */
void comm_of(int listener, const struct seccomp_notif *call, char comm[HB_COMM_MAX]);
/* All that was refused so far. */
const struct hb_denials *denials(void);

#endif
