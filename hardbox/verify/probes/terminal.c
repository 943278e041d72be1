/* Attempts on the terminal that the sandbox was started from, which stands on descriptor 2.
 *
 * Run by: main.c. As controls they work on a terminal of the probe's own. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* A session of this process with a terminal of its own; gives its descriptor. */
static int own_terminal(int controlling)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char name[64];
	int slave;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)) != 0 || setsid() < 0)
		return -1;
	slave = open(name, O_RDWR | O_NOCTTY);
	if (slave >= 0 && controlling && ioctl(slave, TIOCSCTTY, 0) < 0)
		return -1;
	return slave;
}

static int act(const char *what, int fd)
{
	char letter = 'H';
	char select[8] = { 2 };
	char path[32];
	int one = 1;
	pid_t group = getpid();

	if (strcmp(what, "inject") == 0)
		return ioctl(fd, TIOCSTI, &letter) < 0 ? errno : 0;
	if (strcmp(what, "inject-high") == 0)
		return syscall(SYS_ioctl, fd, 0x123400005412, &letter) < 0 ? errno : 0;
	if (strcmp(what, "inject-reopened") == 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		fd = open(path, O_RDWR);
		return fd < 0 || ioctl(fd, TIOCSTI, &letter) < 0 ? errno : 0;
	}
	if (strcmp(what, "paste") == 0)
		return ioctl(fd, TIOCLINUX, select) < 0 ? errno : 0;
	if (strcmp(what, "discipline") == 0)
		return ioctl(fd, TIOCSETD, &one) < 0 ? errno : 0;
	if (strcmp(what, "console") == 0)
		return ioctl(fd, TIOCCONS, 0) < 0 ? errno : 0;
	if (strcmp(what, "control") == 0) {
		setsid();
		return ioctl(fd, TIOCSCTTY, 0) < 0 ? errno : 0;
	}
	if (strcmp(what, "steal") == 0) {
		setsid();
		return ioctl(fd, TIOCSCTTY, 1) < 0 ? errno : 0;
	}
	if (strcmp(what, "foreground") == 0) {
		setpgid(0, 0);
		return ioctl(fd, TIOCSPGRP, &group) < 0 ? errno : 0;
	}
	if (strcmp(what, "session") == 0)
		return ioctl(fd, TIOCGSID, &group) < 0 ? errno : 0;
	if (strcmp(what, "chmod") == 0)
		return fchmod(fd, 0666) < 0 ? errno : 0;
	if (strcmp(what, "set-uid") == 0)
		return fchmod(fd, 04777) < 0 ? errno : 0;
	if (strcmp(what, "open-controlling") == 0) {
		fd = open("/dev/tty", O_RDWR);
		return fd < 0 ? errno : 0;
	}
	if (strcmp(what, "modes") == 0) {
		struct termios modes;

		if (tcgetattr(fd, &modes) < 0)
			return errno;
		modes.c_lflag ^= ECHO;
		return tcsetattr(fd, TCSANOW, &modes) < 0 ? errno : 0;
	}
	if (strcmp(what, "size") == 0) {
		struct winsize size = { .ws_row = 7, .ws_col = 7 };

		return ioctl(fd, TIOCSWINSZ, &size) < 0 ? errno : 0;
	}
	if (strcmp(what, "look") == 0)
		return isatty(fd) ? 0 : errno;
	return MISUSE;
}

/* Whose terminal it was done to: the device of its devpts. */
static int told(int result, int fd)
{
	struct stat found;

	if (result == 0 && fstat(fd, &found) == 0) {
		printf("device %lu\n", (unsigned long)found.st_dev);
		fflush(stdout);
	}
	return result;
}

/* tty WHAT FD and own-tty WHAT: each in a child, whose session ends with it */
static int in_own_process(const char *what, int fd, int own)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		if (own)
			fd = own_terminal(strcmp(what, "control") != 0 && strcmp(what, "steal") != 0);
		_exit(fd < 0 ? errno : told(act(what, fd), fd));
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return errno;
	return WIFSIGNALED(status) ? ENOSYS : WEXITSTATUS(status);
}

static int try_tty(int argc, char **argv)
{
	(void)argc;
	return in_own_process(argv[1], (int)number(argv[2]), 0);
}

static int try_own_tty(int argc, char **argv)
{
	(void)argc;
	return in_own_process(argv[1], -1, 1);
}

/* tty-name PATH */
static int try_tty_name(int argc, char **argv)
{
	int fd = open(argv[1], O_RDWR | O_NOCTTY);

	(void)argc;
	return fd < 0 ? errno : told(0, fd);
}

const struct attempt terminal_attempts[] = {
	{ "tty", 2, try_tty },
	{ "own-tty", 1, try_own_tty },
	{ "tty-name", 1, try_tty_name },
	{ NULL, 0, NULL },
};
