/* The launcher as a function, for the program of that name and for the door, which then needs no
 * exec of another one.  Used by: program.c, front/hardbox.c. */
#ifndef HB_PROGRAM_H
#define HB_PROGRAM_H

/* What main.c says that `hardbox-launch ARGV` does; gives the exit status. argv[0] to argv[argc - 1]
 * have to be the process's own words, from first to last: they are wiped before the job runs. */
int launcher_main(int argc, char **argv);

#endif
