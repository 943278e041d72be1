/* The attacker's hand: one attempt per call, made from inside the sandbox or, as the
 * control, from outside.
 *
 * Read by: the probe's own files. An attempt gives 0 if it WORKED, else the errno that
 * stopped it; what it saw goes to stdout. MISUSE means that the corpus called it wrongly. */
#ifndef PROBE_H
#define PROBE_H

#define MISUSE 255
#define BAD_POINTER ((void *)0x10)

struct attempt {
	const char *name;
	int least; /* arguments, without the name */
	int (*run)(int argc, char **argv);
};

extern const struct attempt file_attempts[];
extern const struct attempt call_attempts[];
extern const struct attempt process_attempts[];
extern const struct attempt mount_attempts[];
extern const struct attempt identity_attempts[];
extern const struct attempt around_attempts[];
extern const struct attempt ipc_attempts[];
extern const struct attempt network_attempts[];
extern const struct attempt resource_attempts[];
extern const struct attempt terminal_attempts[];

/* Run one attempt by name in this process. */
int run_attempt(int argc, char **argv);

/* Number from text: decimal, octal, hex, negative; "self" is the own pid. */
unsigned long number(const char *text);

#endif
