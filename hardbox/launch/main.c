/* hardbox-launch: obeys a launch plan.
 *
 *   hardbox-launch FILE.plan [[--] COMMAND ARG...]  a sealed plan, from `hardbox compile`;
 *                                                   without COMMAND its own command
 *   hardbox-launch --plan-fd N [--status-fd M [--network-fd K] [--samples]]  for hardbox itself
 *   hardbox-launch --plan-fd N --status-fd M --hold-fd K --hold-at STEPS     a member of a pool (hold.h)
 *
 * Takes no option that changes what a plan says. Exit status as in docs/errors.md: the
 * command's own; 124 time limit; 125 nothing was run; 126, 127 not executable, not found;
 * 128+N killed by signal N. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hold.h"
#include "init.h"
#include "plan.h"
#include "program.h"
#include "supervisor.h"

#ifndef HB_VERSION
#define HB_VERSION "unknown"
#endif

static int refuse(const char *what, const char *detail)
{
	(void)fprintf(stderr, "hardbox-launch: refused [HB602]: %s: %s\n  nothing was run\n", what,
		      detail);
	return HB_EXIT_REFUSED;
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: hardbox-launch FILE.plan [[--] COMMAND [ARG...]]\n"
			      "       hardbox-launch --version\n"
			      "Runs COMMAND, or the plan's own command, as the plan says; it is made with\n"
			      "  hardbox compile --profile NAME -o FILE.plan -- COMMAND [ARG...]\n"
			      "  nothing was run\n");
	return HB_EXIT_REFUSED;
}

/* Read all of `fd`, little more than HB_PLAN_MAX bytes; the memory is the caller's for good. */
static unsigned char *read_plan(int fd, size_t *size)
{
	size_t room = 65536;
	unsigned char *bytes = malloc(room);

	*size = 0;
	while (bytes != NULL) {
		ssize_t got = read(fd, bytes + *size, room - *size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got == 0)
				return bytes;
			break;
		}
		*size += (size_t)got;
		if (*size < room)
			continue;
		if (room > HB_PLAN_MAX) {
			errno = EFBIG;
			break;
		}

		unsigned char *more = realloc(bytes, room * 2);

		if (more == NULL)
			break;
		bytes = more;
		room *= 2;
	}
	free(bytes);
	return NULL;
}

/* Whoever can write a plan decides what it does with the caller's rights. */
static int trusted_plan(int fd)
{
	struct stat found;

	return fstat(fd, &found) == 0 && S_ISREG(found.st_mode) &&
	       (found.st_uid == geteuid() || found.st_uid == 0) &&
	       (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* A number of our own caller: digits only, below 2^20. */
static int small_number(const char *text)
{
	int number = 0;

	for (const char *at = text; *at != '\0'; at++) {
		if (*at < '0' || *at > '9' || number > 100000)
			return -1;
		number = number * 10 + (*at - '0');
	}
	return text[0] == '\0' ? -1 : number;
}

static int descriptor_number(const char *text)
{
	int number = small_number(text);

	return number < 3 ? -1 : number;
}

int launcher_main(int argc, char **argv)
{
	int plan_fd = -1;
	int status_fd = -1;
	int network_fd = -1;
	int hold_fd = -1;
	int hold_at = 0;
	int samples = argc > 5 && strcmp(argv[argc - 1], "--samples") == 0;
	int numbers = samples ? argc - 1 : argc;
	char **command_line = NULL;

	/* Whoever makes this program set-user-ID hands every caller a root of his own. */
	if (geteuid() != getuid() || getegid() != getgid() || getauxval(AT_SECURE) != 0)
		return refuse("it must not be set-user-ID or have file capabilities", "see chmod(1)");
	/* Three closed descriptors would be taken by what we open next. */
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return refuse("a standard descriptor is missing", strerror(errno));
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("hardbox-launch %s (plan format %u)\n", HB_VERSION, HB_PLAN_VERSION) < 0
			   ? HB_EXIT_REFUSED
			   : 0;
	if ((numbers == 3 || numbers == 5 || numbers == 7) && strcmp(argv[1], "--plan-fd") == 0) {
		plan_fd = descriptor_number(argv[2]);
		if (numbers >= 5 && strcmp(argv[3], "--status-fd") == 0)
			status_fd = descriptor_number(argv[4]);
		if (numbers == 7 && strcmp(argv[5], "--network-fd") == 0)
			network_fd = descriptor_number(argv[6]);
		if (plan_fd < 0 || (numbers >= 5 && status_fd < 0) || plan_fd == status_fd ||
		    (numbers == 7 && (network_fd < 0 || network_fd == plan_fd || network_fd == status_fd)))
			return usage();
	} else if (argc == 9 && strcmp(argv[1], "--plan-fd") == 0 &&
		   strcmp(argv[3], "--status-fd") == 0 && strcmp(argv[5], "--hold-fd") == 0 &&
		   strcmp(argv[7], "--hold-at") == 0) {
		plan_fd = descriptor_number(argv[2]);
		status_fd = descriptor_number(argv[4]);
		hold_fd = descriptor_number(argv[6]);
		hold_at = small_number(argv[8]);
		if (plan_fd < 0 || status_fd < 0 || hold_fd < 0 || hold_at < 0 || plan_fd == status_fd ||
		    plan_fd == hold_fd || status_fd == hold_fd)
			return usage();
	} else if (argc >= 2 && argv[1][0] != '-') {
		if (argc > 2)
			command_line = argv + (strcmp(argv[2], "--") == 0 ? 3 : 2);
		if (command_line != NULL && command_line[0] == NULL)
			return usage();
		plan_fd = open(argv[1], O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (plan_fd < 0)
			return refuse(argv[1], strerror(errno));
		if (!trusted_plan(plan_fd))
			return refuse("others can change the plan",
				      "it must be a file of yours or root's that only its owner can write");
	} else {
		return usage();
	}

	size_t size;
	unsigned char *bytes = read_plan(plan_fd, &size);
	struct hb_plan plan;
	struct hb_command command;

	if (bytes == NULL)
		return refuse("the plan cannot be read", strerror(errno));
	(void)close(plan_fd);
	if (plan_decode(bytes, size, &plan) < 0)
		return refuse("the plan cannot be used", plan.why);
	/* A member that never comes to where it is to wait would run the plan's own command. */
	if (hold_at != 0 && !hold_exists(&plan, (uint32_t)hold_at))
		return refuse("the plan cannot be used", "it has no such step to wait behind");
	if (command_collect(&command, &plan, command_line) < 0)
		return refuse("the command cannot be prepared", strerror(errno));
	command.line = argv[0];
	command.line_size = (size_t)(argv[argc - 1] - argv[0]) + strlen(argv[argc - 1]);
	return supervisor_run(&plan, &command, status_fd, network_fd, samples, hold_fd,
			      (uint32_t)hold_at);
}
