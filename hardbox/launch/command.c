/* The job's arguments, environment and search path.
 *
 * Run by: the supervisor (collect, before any process is made) and the job (exec). */
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *joined(const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 2;
	char *text = malloc(size);

	if (text != NULL)
		(void)snprintf(text, size, "%s=%s", name, value);
	return text;
}

int command_collect(struct hb_command *command, const struct hb_plan *plan, char **argv)
{
	uint32_t arguments = 0;
	uint32_t variables = 0;

	memset(command, 0, sizeof(*command));
	command->argv = calloc((size_t)plan->count + 1, sizeof(char *));
	command->envp = calloc((size_t)plan->count + 1, sizeof(char *));
	if (command->argv == NULL || command->envp == NULL)
		return -1;
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct hb_step *step = &plan->steps[i];
		const char *value = step->kind == HB_PASS_ENV ? getenv(step->field[0].string) : NULL;

		if (step->kind == HB_ENV)
			value = step->field[1].string;
		if (value != NULL) {
			command->envp[variables] = joined(step->field[0].string, value);
			if (command->envp[variables++] == NULL)
				return -1;
		} else if (step->kind == HB_ARG) {
			/* execve(2) takes char *const[]; the strings are not written to. */
			command->argv[arguments++] = (char *)(uintptr_t)step->field[0].string;
		} else if (step->kind == HB_SEARCH) {
			if (command->search_count == HB_SEARCH_MAX) {
				errno = E2BIG;
				return -1;
			}
			command->search[command->search_count++] = step->field[0].string;
		}
	}
	if (argv != NULL) {
		free(command->argv);
		command->argv = argv;
	}
	if (command->argv[0] == NULL) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

void command_exec(const struct hb_command *command)
{
	const char *name = command->argv[0];
	int seen = ENOENT;

	if (strchr(name, '/') != NULL) {
		(void)execve(name, command->argv, command->envp);
		return;
	}
	for (uint32_t i = 0; i < command->search_count && name[0] != '\0'; i++) {
		char path[4096];
		int length = snprintf(path, sizeof(path), "%s/%s", command->search[i], name);

		if (length < 0 || (size_t)length >= sizeof(path)) {
			seen = ENAMETOOLONG;
			continue;
		}
		(void)execve(path, command->argv, command->envp);
		if (errno != ENOENT && errno != ENOTDIR)
			seen = errno;
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			break;
	}
	errno = seen;
}
