/* The probe's entry: one attempt, or a list of them on stdin.
 *
 * Run by: hardbox/verify/runner.py, inside and outside the sandbox.
 *   probe one NAME ARG...   exit status is the errno, 0 if the attempt worked
 *   probe batch             reads ID<TAB>NAME<TAB>ARG... lines, writes a JSON line for each;
 *                           each attempt has its own process, because a filter may kill it */
#define _GNU_SOURCE
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ARGUMENTS 16
#define MOST_TEXT (1 << 18)
#define PATIENCE_SECONDS 20

static const struct attempt *const tables[] = {
	file_attempts,	  call_attempts, process_attempts, mount_attempts,    identity_attempts,
	around_attempts, ipc_attempts,  network_attempts, resource_attempts, terminal_attempts,
};

unsigned long number(const char *text)
{
	if (strcmp(text, "self") == 0)
		return (unsigned long)getpid();
	if (text[0] == '-')
		return (unsigned long)strtoll(text, NULL, 0);
	return (unsigned long)strtoull(text, NULL, 0);
}

int run_attempt(int argc, char **argv)
{
	for (size_t table = 0; argc > 0 && table < sizeof(tables) / sizeof(tables[0]); table++)
		for (const struct attempt *a = tables[table]; a->name != NULL; a++)
			if (strcmp(a->name, argv[0]) == 0)
				return argc - 1 < a->least ? MISUSE : a->run(argc, argv);
	return MISUSE;
}

static void print_json_text(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
}

/* In the child: text to the pipe, exit status is the errno. */
static void attempt_in_child(int write_end, int argc, char **argv)
{
	struct rlimit none = { 0, 0 };
	int result;

	setrlimit(RLIMIT_CORE, &none);
	dup2(write_end, 1);
	close(write_end);
	alarm(PATIENCE_SECONDS);
	result = run_attempt(argc, argv);
	fflush(stdout);
	_exit(result);
}

static int run_line(char *line)
{
	static char text[MOST_TEXT];
	char *words[MOST_ARGUMENTS + 1];
	int count = 0;
	int ends[2];
	int status = 0;
	size_t length = 0;
	ssize_t got;
	pid_t child;

	for (char *word; count < MOST_ARGUMENTS && (word = strsep(&line, "\t")) != NULL;)
		words[count++] = word;
	words[count] = NULL;
	if (count < 2 || pipe(ends) < 0)
		return MISUSE;
	fflush(stdout);
	child = fork();
	if (child < 0)
		return MISUSE;
	if (child == 0) {
		close(ends[0]);
		attempt_in_child(ends[1], count - 1, words + 1);
	}
	close(ends[1]);
	while (length < sizeof(text) && (got = read(ends[0], text + length, sizeof(text) - length)) > 0)
		length += (size_t)got;
	close(ends[0]);
	if (waitpid(child, &status, 0) < 0)
		return MISUSE;
	printf("{\"id\": \"%s\", \"errno\": %d, \"signal\": %d, \"text\": \"", words[0],
	       WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	print_json_text(text, length);
	printf("\"}\n");
	fflush(stdout);
	return 0;
}

static int batch(void)
{
	static char line[1 << 16];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0' && run_line(line) != 0)
			return MISUSE;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "batch") == 0)
		return batch();
	if (argc > 2 && strcmp(argv[1], "one") == 0) {
		int result = run_attempt(argc - 2, argv + 2);

		fflush(stdout);
		return result;
	}
	fprintf(stderr, "usage: probe one NAME ARG... | probe batch\n");
	return MISUSE;
}
