/* Copies between the caller's descriptors 0-2 and what the job has in their place: a terminal of
 * the sandbox, or pipes. A process of its own, so that a stopped terminal or a slow reader never
 * holds up the supervisor's clock; a buffer for each direction, so that none holds up another.
 *
 * Run by: the relay, on the host, as the caller, from relay_start() until the supervisor hangs up;
 * it then copies what is left and leaves the caller's terminal as it was. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "wire.h"

#define ROOM 65536
/* What a pipe that poll(2) calls writable takes without blocking (pipe(7)). */
#define CHUNK 4096
/* In the background nobody tells us that we have come to the foreground: a shell continues only
 * what it has stopped. */
#define LOOK_AGAIN_MS 250

enum { IN, OUT, ERR, TERMINAL_IN, TERMINAL_OUT, CHANNELS };

struct channel {
	int from; /* -1: done */
	int to;
	int count; /* index into hb_copied.bytes, -1: input */
	int whole; /* `to` never blocks */
	size_t at;
	size_t held;
	char bytes[ROOM];
};

struct relay {
	struct hb_terminal terminal;
	struct hb_copied *copied;
	uint64_t most;
	int link;
	int signals;
	int master;
	int slave; /* held so that the job's terminal does not end while nobody has it open */
	int typing; /* the caller's terminal is ours to read */
	int late;   /* it never was, and the job's has the modes of whoever reads it: these */
	struct termios first;
	int ending;
	struct channel channels[CHANNELS];
};

static struct relay relay; /* one for each launch; in the supervisor it is never touched */

static void connect_channel(int which, int from, int to, int count)
{
	struct stat found;

	relay.channels[which].from = from;
	relay.channels[which].to = to;
	relay.channels[which].count = count;
	relay.channels[which].whole =
	    fstat(to, &found) == 0 && (S_ISREG(found.st_mode) || S_ISBLK(found.st_mode));
}

/* Our own ends are closed, so that the job sees the end of file, or the broken pipe. */
static void finish(int which)
{
	struct channel *channel = &relay.channels[which];

	if (which == IN)
		(void)close(channel->to);
	else if (which == OUT || which == ERR)
		(void)close(channel->from);
	channel->from = channel->to = -1;
	channel->held = 0;
}

/* The caller's terminal is gone; so is the job's, which then gets SIGHUP. */
static void hang_up(void)
{
	if (relay.master < 0)
		return;
	finish(TERMINAL_IN);
	finish(TERMINAL_OUT);
	(void)close(relay.master);
	if (relay.slave >= 0)
		(void)close(relay.slave);
	relay.master = relay.slave = -1;
}

static void broken(int which)
{
	if (which < TERMINAL_IN)
		finish(which);
	else
		hang_up();
}

/* Take the caller's terminal if it is ours to take. again: somebody else may have set it up. */
static void follow(int again)
{
	int was = relay.typing && !again;

	relay.typing = relay.terminal.interactive && terminal_foreground(&relay.terminal);
	if (!relay.typing)
		relay.terminal.raw = 0;
	if (relay.typing && !was) {
		if (relay.late)
			terminal_adopt(&relay.terminal, relay.slave, &relay.first);
		relay.late = 0;
		terminal_raw(&relay.terminal);
		terminal_size(&relay.terminal, relay.master);
	}
	relay.copied->raw = relay.terminal.raw != 0;
}

/* Stop as anybody else would, in a moment that leaves the terminal as it was. */
static void stop(void)
{
	sigset_t stop;

	terminal_restore(&relay.terminal);
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTSTP);
	/* Not raise(3): the C library remembers the number of the thread that we were forked from. */
	(void)kill(getpid(), SIGTSTP);
	(void)sigprocmask(SIG_UNBLOCK, &stop, NULL);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL);
	follow(1);
}

static void on_signals(void)
{
	struct signalfd_siginfo info;

	while (read(relay.signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			stop();
		else if (info.ssi_signo == SIGCONT)
			follow(1);
		if (relay.master >= 0)
			terminal_size(&relay.terminal, relay.master);
	}
}

/* How many of `got` bytes the limit leaves. What is beyond it is read and dropped: a job that is
 * told to end must not hang in a write. */
static size_t within(const struct channel *channel, size_t got)
{
	uint64_t left = relay.most - relay.copied->bytes[0] - relay.copied->bytes[1];

	if (channel->count < 0)
		return got;
	if (got > left) {
		struct hb_message message = {.type = HB_OVERFLOW};

		if (relay.copied->over == 0)
			(void)message_send(relay.link, &message); /* gone: it cannot mind */
		relay.copied->over = 1;
		got = (size_t)left;
	}
	relay.copied->bytes[channel->count] += got;
	return got;
}

static void fill(int which)
{
	struct channel *channel = &relay.channels[which];

	if (which == TERMINAL_IN) {
		follow(0);
		if (!relay.typing)
			return;
	}

	ssize_t got = read(channel->from, channel->bytes, ROOM);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0) {
		broken(which);
		return;
	}
	channel->at = 0;
	channel->held = within(channel, (size_t)got);
}

static void drain(int which)
{
	struct channel *channel = &relay.channels[which];
	size_t size = channel->whole || channel->held < CHUNK ? channel->held : CHUNK;
	ssize_t put = write(channel->to, channel->bytes + channel->at, size);

	if (put < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (put <= 0) {
		broken(which);
		return;
	}
	channel->at += (size_t)put;
	channel->held -= (size_t)put;
}

/* The sandbox is gone: nobody reads input any more, and output has an end. */
static void begin_end(void)
{
	relay.ending = 1;
	(void)close(relay.link);
	relay.link = -1;
	finish(IN);
	relay.channels[TERMINAL_IN].from = -1;
	relay.channels[TERMINAL_IN].held = 0;
	if (relay.slave >= 0)
		(void)close(relay.slave);
	relay.slave = -1;
}

static int finished(void)
{
	return relay.ending && relay.channels[OUT].from < 0 && relay.channels[ERR].from < 0 &&
	       relay.channels[TERMINAL_OUT].from < 0;
}

static void copy(void)
{
	while (!finished()) {
		struct pollfd events[CHANNELS + 2];
		int background = relay.terminal.interactive && !relay.typing && !relay.ending;

		for (int i = 0; i < CHANNELS; i++) {
			const struct channel *channel = &relay.channels[i];

			events[i] = channel->held > 0
					? (struct pollfd){.fd = channel->to, .events = POLLOUT}
					: (struct pollfd){.fd = channel->from, .events = POLLIN};
			if (i == TERMINAL_IN && channel->held == 0 && !relay.typing)
				events[i].fd = -1;
		}
		events[CHANNELS] = (struct pollfd){.fd = relay.signals, .events = POLLIN};
		events[CHANNELS + 1] = (struct pollfd){.fd = relay.link, .events = POLLIN};
		if (poll(events, CHANNELS + 2, background ? LOOK_AGAIN_MS : -1) < 0 && errno != EINTR)
			return;
		if (background)
			follow(0);
		for (int i = 0; i < CHANNELS; i++) {
			/* A channel that comes before may have ended this one. */
			if (events[i].revents == 0 || relay.channels[i].from < 0)
				continue;
			if (relay.channels[i].held > 0)
				drain(i);
			else
				fill(i);
		}
		if (events[CHANNELS].revents != 0)
			on_signals();
		if (events[CHANNELS + 1].revents != 0)
			begin_end();
	}
}

/* Keep what we need, and nothing of the supervisor's: its status descriptor would look alive. */
static int enter(const struct hb_relay *from, int link, const struct hb_plan *plan)
{
	const struct hb_step *output = plan_find(plan, HB_OUTPUT);
	sigset_t handled;
	int keep[6] = {link, from->master, -1, from->streams.relay[0], from->streams.relay[1],
		       from->streams.relay[2]};

	(void)prctl(PR_SET_NAME, "hardbox-relay", 0, 0, 0);
	relay.terminal = from->terminal;
	relay.copied = from->copied;
	relay.most = output == NULL ? UINT64_MAX : output->field[0].number;
	relay.link = link;
	relay.master = from->master;
	relay.slave = -1;
	for (int i = 0; i < CHANNELS; i++)
		relay.channels[i].from = relay.channels[i].to = -1;
	if (relay.master >= 0) {
		relay.slave = ioctl(relay.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (relay.slave < 0 || fcntl(relay.master, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
			return -1;
	}
	keep[2] = relay.slave;
	if (close_others(keep, sizeof(keep) / sizeof(keep[0])) < 0 || sigemptyset(&handled) < 0 ||
	    sigaddset(&handled, SIGWINCH) < 0 || sigaddset(&handled, SIGCONT) < 0 ||
	    sigaddset(&handled, SIGTSTP) < 0 || sigprocmask(SIG_BLOCK, &handled, NULL) < 0)
		return -1;
	relay.signals = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
	/* A file of the caller's on stdout is bounded as if the job itself wrote to it. */
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct hb_field *field = plan->steps[i].field;

		if (plan->steps[i].kind == HB_RLIMIT && field[0].number == RLIMIT_FSIZE &&
		    setrlimit(RLIMIT_FSIZE, &(struct rlimit){field[1].number, field[2].number}) < 0 &&
		    errno != EPERM) /* the caller's own is lower already */
			return -1;
	}
	return relay.signals < 0 ? -1 : 0;
}

/* One of the caller's that may be written to; `< /dev/tty` alone gives none, and is opened again. */
static int output_terminal(unsigned int terminals)
{
	static const int order[] = {1, 2, 0};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if ((terminals >> order[i] & 1u) != 0 &&
		    (fcntl(order[i], F_GETFL) & O_ACCMODE) != O_RDONLY)
			return order[i];

	char path[32];
	int opened = -1;

	if (snprintf(path, sizeof(path), "/proc/self/fd/%d", relay.terminal.fd) > 0)
		opened = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	/* What is echoed is not worth a refusal. */
	return opened >= 0 ? opened : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

_Noreturn void relay_main(const struct hb_relay *from, int link, const struct hb_plan *plan)
{
	struct hb_message ready = {.type = HB_HELLO};

	if (enter(from, link, plan) < 0)
		ready = (struct hb_message){.type = HB_FAILED, .value = errno};
	/* The supervisor sees, by the end of the link, that it was not told. */
	if (message_send(link, &ready) < 0 || ready.type == HB_FAILED)
		_exit(1);
	if (from->streams.relay[0] >= 0)
		connect_channel(IN, 0, from->streams.relay[0], -1);
	if (from->streams.relay[1] >= 0)
		connect_channel(OUT, from->streams.relay[1], 1, 0);
	if (from->streams.relay[2] >= 0)
		connect_channel(ERR, from->streams.relay[2], 2, 1);
	if (relay.master >= 0) {
		unsigned int terminals = from->streams.terminals;

		if (relay.terminal.interactive)
			connect_channel(TERMINAL_IN, 0, relay.master, -1);
		connect_channel(TERMINAL_OUT, relay.master, output_terminal(terminals), 0);
		relay.typing = relay.terminal.raw;
		relay.late = relay.terminal.interactive && !relay.typing &&
			     tcgetattr(relay.slave, &relay.first) == 0;
		follow(0);
	}
	copy();
	terminal_restore(&relay.terminal);
	relay.copied->raw = relay.terminal.raw != 0;
	_exit(0);
}
