/* A plain `hardbox run` that a server of the same user does (hardbox serve).  Used by: hardbox.c. */
#ifndef HB_SERVED_H
#define HB_SERVED_H

/* Ask the server that HARDBOX_SOCKET names, if the request is of the kind that it serves. Gives the exit
 * status; -1: it is to be decided as usual. A server that cannot be trusted is a refusal. */
int served_run(int argc, char **argv);

#endif
