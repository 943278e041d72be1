/* hardbox: the door. Puts this process in order, then becomes the Python front.
 *
 * Run by: the caller. A Python interpreter ends with status 1 if descriptor 0 is a directory,
 * and obeys PYTHON* variables; both would be taken for words of the job. Here they cannot: it is
 * started with -E, and without the two variables that it obeys all the same. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../launch/program.h"
#include "seal.h"
#include "served.h"

#ifndef HB_PYTHON
#define HB_PYTHON "/usr/bin/python3"
#endif

#define FILES_NEEDED 19
#define EXIT_REFUSED 125
#define ENTRY "from hardbox.cli.main import entry; raise SystemExit(entry('%s'))"

static int refuse(const char *code, const char *what, const char *why, const char *instead)
{
	(void)fprintf(stderr,
		      "hardbox: refused [%s]: %s\n"
		      "  why      %s\n"
		      "  instead  %s\n"
		      "  nothing was run\n",
		      code, what, why, instead);
	return EXIT_REFUSED;
}

/* /dev/null where the caller closed 0, 1 or 2: what is opened next would land there. */
static int fill(int fd)
{
	if (fcntl(fd, F_GETFD) >= 0)
		return 0;
	return open("/dev/null", O_RDWR) == fd ? 0 : -1;
}

/* Gives this program's path; 0 where /proc is missing. */
static int own_path(char *room, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", room, size - 1);

	if (length <= 0 || (size_t)length >= size - 1)
		return 0;
	room[length] = '\0';
	return 1;
}

/* As it was called: enough for the Python that says that /proc is missing. room: PATH_MAX. */
static int called_path(char *room)
{
	const char *called = (const char *)(uintptr_t)getauxval(AT_EXECFN);

	return called != NULL && realpath(called, room) != NULL;
}

/* Turn the path of this program into that of one beside it; 0 if there is none. */
static int beside(const char *name, char *room, size_t size)
{
	char *slash = strrchr(room, '/');

	if (slash == NULL || (size_t)(slash - room) + strlen(name) + 2 > size)
		return 0;
	memcpy(slash + 1, name, strlen(name) + 1);
	return access(room, X_OK) == 0;
}

/* Whether what a process may do can depend on the program that it is. Then hardbox-launch has to be
 * that program: Ubuntu lets programs make user namespaces by name (docs/doctor.md), and SELinux knows
 * domains by the file that was started. */
static int judged_by_program(void)
{
	char word[16];
	ssize_t got;
	int fd = open("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT) {
		got = fd < 0 ? -1 : read(fd, word, 1);
		if (fd >= 0)
			(void)close(fd);
		if (geteuid() != 0 && !(got == 1 && word[0] == '0'))
			return 1;
	}
	fd = open("/proc/self/attr/current", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	got = read(fd, word, sizeof(word));

	int none = got < 0 && errno == EINVAL;

	(void)close(fd);
	return !none && !(got >= 10 && memcmp(word, "unconfined", 10) == 0);
}

/* A decision that still holds needs no Python, and no other program either: an exec costs as much as
 * all that the door does otherwise. Comes back only if nothing was done. */
static void launch_sealed(const struct hb_seal *seal, int argc, char **argv)
{
	char room[PATH_MAX];
	/* Its name, plan and "--", and behind the command the NULL. */
	int count = argc - seal->command + 3;
	char **words = calloc((size_t)count + 1, sizeof(*words));

	if (words == NULL)
		return;
	words[0] = argv[0];
	words[1] = (char *)(uintptr_t)seal->plan;
	words[2] = (char *)(uintptr_t) "--";
	for (int i = seal->command; i < argc; i++)
		words[i - seal->command + 3] = argv[i];
	if (!judged_by_program() && prctl(PR_SET_NAME, "hardbox-launch", 0, 0, 0) == 0)
		exit(launcher_main(count, words));
	words[0] = (char *)(uintptr_t) "hardbox-launch";
	if (own_path(room, sizeof(room)) && beside("hardbox-launch", room, sizeof(room)))
		(void)execv(room, words);
	free(words);
}

int main(int argc, char **argv)
{
	char room[PATH_MAX];
	struct stat found;
	sigset_t interrupt;

	for (int fd = 0; fd < 3; fd++) {
		if (fill(fd) < 0 || fstat(fd, &found) < 0)
			return EXIT_REFUSED;
		/* No kind of file (eventfd(2) and the like): Linux 6.1 takes words for an
		 * eventfd's numbers, until its counter is full and the writer waits for ever. */
		if (fd == STDERR_FILENO && (found.st_mode & S_IFMT) == 0)
			return EXIT_REFUSED;
		if (S_ISDIR(found.st_mode))
			return refuse("HB210", "a directory stands on descriptor 0, 1 or 2",
				      "a directory descriptor leads out of any root (openat(2) with \"..\")",
				      "redirect from a file, a pipe or /dev/null");
	}
	/* Ignored, the kernel would reap the launcher before its status is read. An interrupt
	 * waits until Python can answer it (cli/main.py). */
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigemptyset(&interrupt) < 0 ||
	    sigaddset(&interrupt, SIGINT) < 0)
		return EXIT_REFUSED;

	struct rlimit files;

	/* With fewer the dynamic loader, Python or the launcher end, each with a status of its own. */
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < FILES_NEEDED)
		return refuse("HB611", "too few files may be open for a launch",
			      "the limit of open files is below 19 (RLIMIT_NOFILE)",
			      "raise the limit on open files (ulimit -n)");

	int served = served_run(argc, argv);

	if (served >= 0)
		return served;

	struct hb_seal seal;

	seal_find(&seal, argc, argv);
	if (seal.plan[0] != '\0')
		launch_sealed(&seal, argc, argv);
	if (sigprocmask(SIG_BLOCK, &interrupt, NULL) < 0)
		return EXIT_REFUSED;

	char code[sizeof(ENTRY) + HB_SEAL_HEX];
	char **words = calloc((size_t)argc + 5, sizeof(*words));
	/* As in a virtual environment, else the interpreter that this program was built for. */
	const char *python = (own_path(room, sizeof(room)) || called_path(room)) &&
					     beside("python3", room, sizeof(room))
				     ? room
				     : HB_PYTHON;

	(void)snprintf(code, sizeof(code), ENTRY, seal.key);
	if (words == NULL)
		return refuse("HB000", "there is no memory", strerror(errno), "free some, and try again");
	/* execv(3) takes char *const[]; the strings are not written to. */
	words[0] = (char *)(uintptr_t)python;
	words[1] = (char *)(uintptr_t)"-EP";
	words[2] = (char *)(uintptr_t)"-c";
	words[3] = code;
	for (int i = 1; i < argc; i++)
		words[i + 3] = argv[i];
	/* Each names another interpreter, whose packages Python then takes for its own. */
	if (unsetenv("PYTHONEXECUTABLE") < 0 || unsetenv("__PYVENV_LAUNCHER__") < 0)
		return EXIT_REFUSED;
	(void)execv(python, words);
	return refuse("HB610", "the Python that hardbox was installed for cannot be started", python,
		      "install hardbox again: make build, or pip install --force-reinstall hardbox");
}
