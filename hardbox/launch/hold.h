/* A member of a pool: a launch that goes as far as it can without knowing its job, and waits there.
 *
 * The owner's end of the socket says which job, once; a member is never used again.
 *
 *   launcher -> owner   HELLO  ready, at the hold point
 *   owner -> launcher   GO     the job: a memory file and what is to stand on 0, 1 and 2;
 *                              value: HB_HAND_SAMPLES or 0
 *   (the owner's end closes: the member and its job end)
 *
 * A member waits at one of two points. At the last one (`at` is 0) every wall stands, in the job's own
 * process, and the memory file holds only what cannot be a wall: variables, arguments, search path
 * and working directory. At the other, behind step `at`, nothing has been given up yet, and the memory file is
 * a whole plan, which differs from the member's in what the job brings and nowhere else (hold_fits).
 *
 * Used by: main.c, supervisor.c, watch.c, init.c, hold.c, handover.c. */
#ifndef HB_HOLD_H
#define HB_HOLD_H

#include <stdint.h>
#include <sys/types.h>

#include "init.h"
#include "plan.h"

#define HB_HANDED 4 /* descriptors: the memory file, and what is to stand on 0, 1 and 2 */
#define HB_HAND_SAMPLES 1

struct launch;

struct hb_hold {
	int fd;	      /* to the owner; -1: no member of a pool, or the owner has gone */
	int member;   /* it was one from the start */
	uint32_t at;  /* steps of the plan before the hold; 0: all but the exec */
	int ready;    /* at the hold point */
	int handed;   /* the job is there */
	pid_t job;    /* which waits, at the last hold point */
	int passed[HB_HANDED]; /* for the job, until go(); -1 */
	struct hb_plan brought;
};

/* What came with one message. */
struct hb_handover {
	int32_t value;
	int descriptor[HB_HANDED];
};

/* Send and receive a job. handover_receive gives 1, 0 at end of file, -1 and errno; descriptors are the
 * caller's only with 1. */
int handover_send(int socket, int32_t value, const int descriptor[HB_HANDED]);
int handover_receive(int socket, struct hb_handover *got);
/* Decode the memory file. whole: a plan, held to the floor; else steps. 0, or -1 and errno; the bytes
 * stay for good. */
int handover_decode(int memory, int whole, struct hb_plan *brought);
/* Put three descriptors on 0-2, and close them. 0, or -1 and errno. */
int handover_streams(const int stream[3]);

/* Is there a step of init's in front of, and behind, the first `at` steps? */
int hold_exists(const struct hb_plan *member, uint32_t at);
/* NULL, or why this is not what a job may bring to a member whose walls stand. */
const char *hold_brings(const struct hb_plan *brought);
/* NULL, or why `job` is not the plan `member` with what one job may bring: other arguments, variables, search path
 * and working directory, and trees of the host, where they are attached, and the rows of the second wall for
 * these. `at`: steps of `member` that have been carried out, which must be the same. */
const char *hold_fits(const struct hb_plan *member, const struct hb_plan *job, uint32_t at);
/* Where `job` goes on behind step `at` of `member`. */
uint32_t hold_resumes(const struct hb_plan *member, const struct hb_plan *job, uint32_t at);

/* The supervisor's part. hold_ready: the member is at its hold point; job: its pid, or 0.
 * hold_event: the owner has spoken, or gone. hold_pass: give the waiting job what it waits for. */
int hold_ready(struct launch *launch, pid_t job);
void hold_event(struct launch *launch);
int hold_pass(struct launch *launch);
/* Does the job wait with all its walls up? */
int hold_last(const struct launch *launch);

/* Init's part: wait at the hold point and go on with the job's plan. step: of that plan, if one of it fails. 0, or
 * -1 and errno. */
int hold_init(struct hb_init *init, uint32_t at, struct hb_plan *job, struct hb_command *command,
	      uint32_t *step);
/* The job's part: wait with all walls up, and become ready for the exec. step: of the member's plan, if one of
 * it fails. 0, or -1 and errno. */
int hold_job(const struct hb_plan *member, int socket, struct hb_command *command, uint32_t *step);

#endif
