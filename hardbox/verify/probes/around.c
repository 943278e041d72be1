/* Attempts from elsewhere: a thread, a grandchild, after exec, a second time, with many
 * descriptors; and what this process inherited from whoever started the sandbox.
 *
 * Run by: main.c. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 200
#define ODD_SLACK 123456

struct words {
	int argc;
	char **argv;
	int result;
};

static void *in_thread(void *given)
{
	struct words *words = given;

	words->result = run_attempt(words->argc, words->argv);
	return NULL;
}

/* thread NAME ARG... */
static int try_thread(int argc, char **argv)
{
	struct words words = { argc - 1, argv + 1, MISUSE };
	pthread_t thread;

	if (pthread_create(&thread, NULL, in_thread, &words) != 0)
		return MISUSE;
	pthread_join(thread, NULL);
	return words.result;
}

static int status_of(pid_t child)
{
	int status = 0;

	if (child < 0 || waitpid(child, &status, 0) < 0)
		return errno;
	if (WIFSIGNALED(status)) {
		fflush(stdout);
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}

static int in_child(int depth, int argc, char **argv)
{
	pid_t child = fork();

	if (child == 0) {
		int result = depth > 1 ? in_child(depth - 1, argc, argv) : run_attempt(argc, argv);

		fflush(stdout);
		_exit(result);
	}
	return status_of(child);
}

/* grandchild NAME ARG... */
static int try_grandchild(int argc, char **argv)
{
	return in_child(2, argc - 1, argv + 1);
}

/* after-exec NAME ARG... */
static int try_after_exec(int argc, char **argv)
{
	char *words[20] = { "probe", "one" };

	for (int i = 1; i < argc && i < 17; i++)
		words[i + 1] = argv[i];
	fflush(stdout);
	execv("/proc/self/exe", words);
	return errno;
}

/* twice NAME ARG...: the second answer counts */
static int try_twice(int argc, char **argv)
{
	in_child(1, argc - 1, argv + 1);
	return run_attempt(argc - 1, argv + 1);
}

/* crowded NAME ARG...: with many descriptors open */
static int try_crowded(int argc, char **argv)
{
	for (int i = 0; i < MANY; i++)
		if (dup(0) < 0)
			return MISUSE;
	return run_attempt(argc - 1, argv + 1);
}

/* environ NAME: prints its value */
static int try_environ(int argc, char **argv)
{
	const char *value = getenv(argv[1]);

	(void)argc;
	if (value == NULL)
		return ENOENT;
	printf("%s\n", value);
	return 0;
}

/* environ-names: one name a line */
static int try_environ_names(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (char **row = environ; *row != NULL; row++)
		printf("%.*s\n", (int)strcspn(*row, "="), *row);
	return 0;
}

static int print_status_line(const char *name)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");

	if (status == NULL)
		return errno;
	while (fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			printf("%s", line + strlen(name) + 1);
	fclose(status);
	return 0;
}

/* inherited WHAT */
static int try_inherited(int argc, char **argv)
{
	const char *what = argv[1];
	char text[4096];
	int death = 0;

	(void)argc;
	if (strcmp(what, "umask") == 0)
		printf("%04o\n", umask(0));
	else if (strcmp(what, "nice") == 0)
		printf("%d\n", getpriority(PRIO_PROCESS, 0));
	else if (strcmp(what, "personality") == 0)
		printf("%x\n", (unsigned int)personality(0xffffffff));
	else if (strcmp(what, "slack") == 0)
		printf("%d\n", prctl(PR_GET_TIMERSLACK));
	else if (strcmp(what, "death-signal") == 0 && prctl(PR_GET_PDEATHSIG, &death) == 0)
		printf("%d\n", death);
	else if (strcmp(what, "blocked") == 0)
		return print_status_line("SigBlk:");
	else if (strcmp(what, "ignored") == 0)
		return print_status_line("SigIgn:");
	else if (strcmp(what, "cwd") == 0 && getcwd(text, sizeof(text)) != NULL)
		printf("%s\n", text);
	else
		return errno != 0 ? errno : MISUSE;
	return 0;
}

/* odd PROGRAM ARG...: execute a program from a parent whose every setting is unusual */
static int try_odd(int argc, char **argv)
{
	sigset_t all;
	int ends[2];
	int kept[4] = { -1, -1, -1, -1 };

	(void)argc;
	umask(0);
	/* Above what is usual where that may be, else below what it is. */
	if (setpriority(PRIO_PROCESS, 0, -3) < 0 &&
	    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 3) < 0)
		return errno;
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&all);
	sigaddset(&all, SIGUSR1);
	sigaddset(&all, SIGALRM);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_TIMERSLACK, ODD_SLACK);
	personality(ADDR_NO_RANDOMIZE);
	kept[0] = open("/", O_RDONLY | O_DIRECTORY);
	kept[1] = open("/", O_PATH);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0)
		for (int fd = 40; fd < 60; fd++)
			dup2(kept[fd % 2], fd);
	execv(argv[1], argv + 1);
	return errno;
}

/* wait: until somebody ends it; first the errno of what only the second wall refuses: a TCP port */
static int try_wait(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int tcp = socket(AF_INET, SOCK_STREAM, 0);

	(void)argc;
	(void)argv;
	alarm(0);
	printf("second wall, TCP %d\n",
	       tcp < 0 || bind(tcp, (struct sockaddr *)&at, sizeof(at)) < 0 ? errno : 0);
	close(tcp);
	printf("ready\n");
	fflush(stdout);
	return pause();
}

const struct attempt around_attempts[] = {
	{ "thread", 1, try_thread },
	{ "grandchild", 1, try_grandchild },
	{ "after-exec", 1, try_after_exec },
	{ "twice", 1, try_twice },
	{ "crowded", 1, try_crowded },
	{ "environ", 1, try_environ },
	{ "environ-names", 0, try_environ_names },
	{ "inherited", 1, try_inherited },
	{ "odd", 1, try_odd },
	{ "wait", 0, try_wait },
	{ NULL, 0, NULL },
};
