/* The supervisor's side of the relay (carry.c): starts it when the job may begin, hears of too much
 * output, and waits until what the job wrote has arrived.
 *
 * Run by: the supervisor. */
#include "launch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "sys.h"
#include "wire.h"

int relay_wanted(const struct hb_relay *wanted)
{
	return wanted->streams.terminals != 0 || wanted->streams.relayed != 0;
}

/* Until the relay has said that it can copy, nothing runs. */
static int relay_ready(int link)
{
	struct hb_message message;
	int got = message_receive(link, &message);

	if (got == 1 && message.type == HB_HELLO)
		return 0;
	if (got == 1)
		errno = message.value;
	else if (got == 0)
		errno = EINTR; /* killed from outside */
	return -1;
}

int relay_start(struct hb_relay *from, const struct hb_plan *plan)
{
	sigset_t output;
	int link[2];

	if (from->streams.terminals != 0 && from->master < 0) {
		errno = ECHILD; /* init has died, and has said why */
		return -1;
	}
	from->copied = mmap(NULL, sizeof(*from->copied), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (from->copied == MAP_FAILED) {
		from->copied = NULL;
		return -1;
	}
	/* Neither we nor the relay stop for writing to, or setting, a terminal from the background. */
	if (sigemptyset(&output) < 0 || sigaddset(&output, SIGTTOU) < 0 ||
	    sigprocmask(SIG_BLOCK, &output, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return -1;
	if (from->terminal.interactive)
		terminal_raw(&from->terminal);
	from->copied->raw = from->terminal.raw != 0;
	from->pid = sys_fork();
	if (from->pid == 0)
		relay_main(from, link[1], plan);
	if (from->pid < 0) {
		int error = errno;

		from->pid = 0;
		terminal_restore(&from->terminal);
		(void)closing(0, link[0]);
		(void)closing(0, link[1]);
		errno = error;
		return -1;
	}
	from->link = link[0];
	(void)close(link[1]);
	/* Ours would keep the job's terminal, and its pipes, alive. */
	if (from->master >= 0)
		(void)close(from->master);
	for (int fd = 0; fd < 3; fd++)
		if (from->streams.relay[fd] >= 0)
			(void)close(from->streams.relay[fd]);
	return relay_ready(from->link);
}

int relay_message(struct hb_relay *from)
{
	struct hb_message message;

	if (message_receive(from->link, &message) == 1)
		return 1;
	(void)close(from->link);
	from->link = -1;
	return 0;
}

void relay_resized(const struct hb_relay *from)
{
	/* Our own child, whose number is its own until we wait. */
	(void)kill(from->pid, SIGWINCH);
}

/* Somebody wants us to end, whatever is still to be copied. */
static int told_to_end(const struct launch *launch)
{
	struct signalfd_siginfo info;
	int told = 0;

	while (read(launch->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			relay_resized(&launch->relay);
		else if (info.ssi_signo != SIGUSR1 && info.ssi_signo != SIGUSR2)
			told = 1;
	}
	return told;
}

void relay_end(struct launch *launch)
{
	struct hb_relay *from = &launch->relay;
	int status = -1;

	if (from->pid == 0)
		return;
	/* To deliver its output is part of the job, and its time counts. */
	if (launch->cause != HB_CAUSE_OWN)
		launch->deadline = later(now_ns(), launch->grace);
	if (from->link >= 0)
		(void)shutdown(from->link, SHUT_WR); /* fails only if the relay is gone */
	while (from->link >= 0) {
		struct pollfd events[3] = {
		    {.fd = from->link, .events = POLLIN},
		    {.fd = launch->signals, .events = POLLIN},
		    {.fd = launch->status_fd, .events = 0},
		};
		int ready = poll(events, 3, timeout_ms(launch));

		if (ready > 0 && events[0].revents != 0) {
			(void)relay_message(from);
			continue;
		}

		int late = launch->deadline != 0 && now_ns() >= launch->deadline;

		if (late && launch->cause == HB_CAUSE_OWN)
			launch->cause = HB_CAUSE_WALL;
		if (late || (ready > 0 && events[2].revents != 0) || told_to_end(launch)) {
			(void)kill(from->pid, SIGKILL); /* our own child, not yet waited for */
			break;
		}
	}
	while (waitpid(from->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	from->terminal.raw = from->copied->raw != 0;
	terminal_restore(&from->terminal);
	/* The relay has tried already: a call that fails in both, once, must not leave it raw. */
	terminal_restore(&from->terminal);
	if (from->copied->over != 0 && launch->cause == HB_CAUSE_OWN)
		launch->cause = HB_CAUSE_OUTPUT;

	struct {
		uint32_t terminals, relayed;
		uint64_t out, err;
	} head = {from->streams.terminals, from->streams.relayed, from->copied->bytes[0],
		  from->copied->bytes[1]};

	(void)record_write(launch->status_fd, HB_RECORD_STREAMS, &head, sizeof(head), NULL, 0);
}
