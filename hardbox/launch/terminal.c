/* The caller's terminal is never the job's: a job could type into it, change its modes and its
 * owner's rights. It gets a terminal of its own, and relay.c copies between the two.
 *
 * Run by: init (terminal_step), the supervisor and the relay (all else). */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "io.h"
#include "sys.h"
#include "wire.h"

#define PTMX "/dev/pts/ptmx"

static int lowest(unsigned int terminals)
{
	for (int fd = 0; fd < 3; fd++)
		if ((terminals >> fd & 1u) != 0)
			return fd;
	return -1;
}

void terminal_save(struct hb_terminal *terminal, unsigned int terminals)
{
	memset(terminal, 0, sizeof(*terminal));
	terminal->fd = lowest(terminals);
	/* One that has been hung up has no modes: nothing is typed there any more. */
	terminal->interactive = (terminals & 1u) != 0 && tcgetattr(0, &terminal->before) == 0 &&
				(fcntl(0, F_GETFL) & O_ACCMODE) != O_WRONLY;
}

int terminal_foreground(const struct hb_terminal *terminal)
{
	pid_t group = tcgetpgrp(terminal->fd);

	/* ENOTTY: not our controlling terminal, so no rules of job control stand between us. */
	return group < 0 ? errno == ENOTTY : group == getpgrp();
}

static int same(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
	       a->c_cflag == b->c_cflag;
}

void terminal_raw(struct hb_terminal *terminal)
{
	struct termios now;

	terminal->set = terminal->before;
	cfmakeraw(&terminal->set);
	/* TCSANOW: to wait until the output is gone would be to wait for a stopped terminal. */
	terminal->raw = terminal_foreground(terminal) &&
			tcsetattr(terminal->fd, TCSANOW, &terminal->set) == 0;
	/* What the kernel made of them is what terminal_restore will find. */
	if (terminal->raw && tcgetattr(terminal->fd, &now) == 0)
		terminal->set = now;
}

void terminal_adopt(struct hb_terminal *terminal, int slave, const struct termios *first)
{
	struct termios now;
	struct termios jobs;

	if (tcgetattr(terminal->fd, &now) < 0)
		return; /* hung up */
	if (tcgetattr(slave, &jobs) == 0 && same(&jobs, first))
		(void)tcsetattr(slave, TCSANOW, &now); /* the job sees the ones it has */
	terminal->before = now;
}

void terminal_restore(struct hb_terminal *terminal)
{
	struct termios now;

	/* A failure leaves it ours: the supervisor tries again, after the relay. */
	if (!terminal->raw || tcgetattr(terminal->fd, &now) < 0)
		return;
	/* A shell that has it back has modes of its own on it; if it left ours, they are undone. */
	if ((terminal_foreground(terminal) || same(&now, &terminal->set)) &&
	    tcsetattr(terminal->fd, TCSANOW, &terminal->before) < 0)
		return;
	terminal->raw = 0;
}

void terminal_size(const struct hb_terminal *terminal, int master)
{
	struct winsize size;

	/* The kernel tells the job (SIGWINCH) if it has changed. */
	if (ioctl(terminal->fd, TIOCGWINSZ, &size) == 0)
		(void)ioctl(master, TIOCSWINSZ, &size);
}

/* A new terminal looks as the caller's does. */
static int look_alike(int caller, int slave, int interactive)
{
	struct termios modes;
	struct winsize size;

	if (ioctl(caller, TIOCGWINSZ, &size) == 0 && ioctl(slave, TIOCSWINSZ, &size) < 0)
		return -1;
	if (tcgetattr(caller, &modes) < 0)
		return errno == EIO ? 0 : -1; /* hung up: the kernel's own modes do */
	/* A caller's terminal that is not made raw turns \n into \r\n by itself. */
	if (!interactive)
		modes.c_oflag &= ~(tcflag_t)OPOST;
	return tcsetattr(slave, TCSANOW, &modes);
}

int terminal_step(const struct hb_init *init, const struct hb_step *step)
{
	unsigned int terminals = init->streams->terminals;
	int interactive = (terminals & 1u) != 0;
	int unlock = 0;

	if (terminals == 0)
		return 0;
	/* Out of the session that the caller's terminal controls. */
	if (setsid() < 0)
		return -1;

	int master = sys_openat2(AT_FDCWD, PTMX, O_RDWR | O_NOCTTY,
				 RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

	if (master < 0)
		return -1;

	/* Where nothing is typed, a read is to fail at once, not to wait for ever. */
	unsigned int mode = interactive ? O_RDWR : O_WRONLY;
	int slave = ioctl(master, TIOCSPTLCK, &unlock) < 0
			? -1
			: ioctl(master, TIOCGPTPEER, mode | O_NOCTTY | O_CLOEXEC);

	if (slave < 0)
		return closing(-1, master);

	int result = fchown(slave, (uid_t)step->field[0].number, (gid_t)step->field[1].number);

	if (result == 0)
		result = look_alike(lowest(terminals), slave, interactive);
	if (result == 0)
		result = descriptor_send(init->control, HB_TERMINAL_MASTER, master);
	for (int fd = 0; fd < 3 && result == 0; fd++)
		if ((terminals >> fd & 1u) != 0 && dup2(slave, fd) < 0)
			result = -1;
	return closing(closing(result, slave), master);
}
