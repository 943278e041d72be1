/* The caller's terminal, and the job's own.
 *
 * Used by: init.c, supervisor.c, relay.c. */
#ifndef HB_TERMINAL_H
#define HB_TERMINAL_H

#include <termios.h>

#include "init.h"

/* The caller's terminal while a job has one of its own. Its modes are ours only while it is
 * interactive and this process group is its foreground group. */
struct hb_terminal {
	int fd;		 /* the lowest of 0-2 that is one, -1: none is */
	int interactive; /* descriptor 0 is: what is typed goes to the job */
	int raw;	 /* we have set it, and nobody has taken it from us since */
	struct termios before;
	struct termios set;
};

/* Remember the modes; `terminals`: bit n for descriptor n. */
void terminal_save(struct hb_terminal *terminal, unsigned int terminals);
/* May we read it and set its modes: its foreground group is ours, or it controls nobody of ours. */
int terminal_foreground(const struct hb_terminal *terminal);
/* Hand over what is typed, byte by byte. Not done in the background; SIGTTOU must be blocked. */
void terminal_raw(struct hb_terminal *terminal);
/* The modes as they were, unless somebody else has set it up for himself meanwhile. */
void terminal_restore(struct hb_terminal *terminal);
/* Begun in the background, we have seen the modes that a shell reads its own lines with: take those
 * of now, and give them to the job's terminal if that still has its `first` ones. */
void terminal_adopt(struct hb_terminal *terminal, int slave, const struct termios *first);
/* Give the job's terminal, whose master this is, the size of the caller's. */
void terminal_size(const struct hb_terminal *terminal, int master);

/* The step of init: a terminal out of the sandbox's own devpts takes the place of the caller's
 * on those of 0-2 that are one. 0, or -1 and errno. */
int terminal_step(const struct hb_init *init, const struct hb_step *step);

#endif
