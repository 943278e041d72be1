/* What a sandbox uses, seen from outside.  Used by: limits.c. */
#ifndef HB_SAMPLE_H
#define HB_SAMPLE_H

#include <stdint.h>
#include <sys/types.h>

/* A tree with more processes is not walked to its end; a plan whose limit of tasks is larger is not
 * watched (hardbox/plan/bounds.py). */
#define HB_SAMPLE_PROCESSES 16384u

enum hb_sample_depth {
	HB_SAMPLE_BOUND,  /* memory: the sum of what is resident; shared pages count in each process */
	HB_SAMPLE_EXACT,  /* memory: shared pages divided by how many share them, swapped ones too */
	HB_SAMPLE_CURVES, /* the bound, and everything else */
};

struct hb_sample {
	uint64_t memory;  /* bytes; pages of files on disk count in the bound only */
	uint64_t ticks;	  /* of CPU time, of what has ended and been waited for too */
	uint64_t tasks;	  /* threads; init is none */
	uint64_t read;	  /* bytes through read(2) and its like, as far as it may be known */
	uint64_t written;
	uint64_t most;	  /* memory of the largest process */
	char name[16];	  /* and its name: the job's to choose */
};

/* Walk all descendants of `init`. 0, or -1 and errno: init's children cannot be seen, or (E2BIG)
 * there are too many processes. A process that ends meanwhile is left out. */
int sample_take(pid_t init, enum hb_sample_depth depth, struct hb_sample *sample);

#endif
