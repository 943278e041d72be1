/* What init's step files share.  Used by: init.c, mounts.c, drop.c, terminal.c. */
#ifndef HB_INIT_H
#define HB_INIT_H

#include <stdint.h>

#include "hand.h"
#include "plan.h"
#include "streams.h"

/* The last directory that something was made in, open: the next thing is often made there too (place.c). */
struct hb_parent {
	char path[4096]; /* relative to the new root */
	int fd;		 /* -1: there is none */
	int kept;	 /* it may be used again */
};

/* The first mask of a kind, where it was put: others of the same kind are clones of it. */
struct hb_cover {
	const char *path; /* what it shows */
	int fd;		  /* -1: there is none */
};

/* State that steps hand on to later steps; one per sandbox, on init's stack. */
struct hb_init {
	const struct hb_plan *plan;
	const struct hb_streams *streams;
	int control;	/* socket to the supervisor */
	int root;	/* O_PATH of the new root while it is assembled, -1 before */
	int landlock;	/* ruleset being filled, -1 if none */
	struct hb_cover cover;
	struct hb_parent parent;
	uint32_t overlays; /* how many overlays stand on the stage */
	int *trees; /* detached mounts from the supervisor; -1: attached */
	uint32_t tree_count;
	struct hb_hand hand;
};

/* Execute one INSIDE step. 0, or -1 and errno; EINVAL for a kind that is not theirs, which
 * init.c does not give them. */
int mount_step(struct hb_init *init, const struct hb_step *step);
int drop_step(struct hb_init *init, const struct hb_step *step);

/* The new environment, arguments and search path, collected from DATA steps. */
struct hb_command {
	char **argv;
	char **envp;
	const char *search[HB_SEARCH_MAX];
	uint32_t search_count;
	char *line; /* our own command line, which the job could read as /proc/1/cmdline */
	size_t line_size;
};

/* Fill `command` from the plan; argv replaces the plan's if not NULL. Allocates; 0 or -1. */
int command_collect(struct hb_command *command, const struct hb_plan *plan, char **argv);
/* Replace this process; returns only on failure, with errno set. */
void command_exec(const struct hb_command *command);

struct hb_cgroup;
struct hb_hold;

/* Pid 1 of the sandbox; never returns. lease: descriptor to hold until the end, or -1;
 * cgroups: HB_CGROUPS_MAX of them, some of which init may have to move itself to; network: whether init has
 * to make the network namespace, too;
 * hold: whether and where it waits for its job (hold.h). */
_Noreturn void init_main(const struct hb_plan *plan, const struct hb_command *command, int control,
			 int job_socket, int lease, const struct hb_cgroup *cgroups,
			 const struct hb_streams *streams, int network, const struct hb_hold *hold);

#endif
