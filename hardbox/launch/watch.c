/* While a sandbox lives: reads the job back from /proc before it may exec, lets it go when whoever keeps
 * its network is ready, forwards signals, keeps the clock.
 *
 * Run by: the supervisor. One thread, one event loop. */
#include "launch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "notify.h"
#include "sys.h"
#include "wire.h"

/* For the keeper of the job's network, from HELLO to GO; and in all, while it says that others have their turn.
 * Tests build with less. */
#ifndef KEEPER_PATIENCE_MS
#define KEEPER_PATIENCE_MS 60000u
#define KEEPER_QUEUE_MS 600000u
#endif

uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int blame(struct launch *launch, uint32_t step, int error)
{
	if (launch->failed == 0) {
		launch->failed = error == 0 ? EIO : error;
		launch->failed_step = step;
	}
	return -1;
}

void kill_all(const struct launch *launch)
{
	/* ESRCH: already gone. Killing pid 1 ends its whole pid namespace. Where a filter of an
	 * outer container knows no pidfds: init is our child, whose number is its own until we wait. */
	if (sys_pidfd_send_signal(launch->pidfd, SIGKILL) < 0 && errno != ESRCH)
		(void)kill(launch->init, SIGKILL);
	cgroup_kill(&launch->limits.cgroups[0]);
}

uint64_t later(uint64_t from, uint64_t ms)
{
	uint64_t room = (UINT64_MAX - from) / 1000000u;

	return ms > room ? UINT64_MAX : from + ms * 1000000u;
}

/* A socket of the job's network is handed on; without its keeper nothing is to run. */
static void pass_socket(struct launch *launch, int descriptor)
{
	if (network_pass(&launch->network, descriptor) == 0)
		return;
	(void)blame(launch, plan_index(launch->plan, HB_LISTEN), errno);
	kill_all(launch);
}

/* 1 while there may be more to come. */
static int on_control(struct launch *launch)
{
	struct hb_message message;
	int descriptor;
	int got = message_receive_descriptor(launch->control, &message, &descriptor);
	int brings = got == 1 && (message.type == HB_TERMINAL_MASTER || message.type == HB_LISTENER ||
				  message.type == HB_SOCKET);

	/* A word of init's is lost, or there was no room for what it brought. If that was the
	 * listener, which the socket then keeps, every call that the filter tells of would wait for
	 * ever: end it all, and say so. */
	if (got < 0 || (brings && descriptor < 0)) {
		if (!launch->hello)
			(void)blame(launch, 0, got < 0 ? errno : EMFILE);
		kill_all(launch);
		return 0;
	}
	if (got != 1)
		return 0;
	if (message.type == HB_TERMINAL_MASTER && launch->relay.master < 0)
		launch->relay.master = descriptor;
	else if (descriptor >= 0 && message.type == HB_LISTENER)
		listener_take(launch, descriptor);
	else if (descriptor >= 0 && message.type == HB_SOCKET)
		pass_socket(launch, descriptor);
	else if (descriptor >= 0)
		(void)close(descriptor);
	if (message.type == HB_FAILED)
		(void)blame(launch, message.step, message.value);
	if (message.type == HB_HELLO && hold_ready(launch, 0) < 0)
		kill_all(launch);
	if (message.type == HB_ENDED) {
		launch->ended = 1;
		launch->status = message.value;
	}
	return 1;
}

/* The job is ready, so init has sent its terminal, if there is one. */
static int start_relay(struct launch *launch)
{
	if (!relay_wanted(&launch->relay))
		return 0;
	while (launch->relay.streams.terminals != 0 && launch->relay.master < 0)
		if (!on_control(launch))
			break;
	return relay_start(&launch->relay, launch->plan);
}

void watch_go(struct launch *launch)
{
	const struct hb_step *wall = plan_find(launch->plan, HB_WALL);
	struct hb_message message = {.type = HB_GO};

	if (start_relay(launch) < 0) {
		(void)blame(launch, 0, errno);
		kill_all(launch);
		return;
	}
	if (limits_begin(launch) < 0) {
		kill_all(launch);
		return;
	}
	launch->hello = 1; /* from here on nobody can say that nothing was run */
	if (wall != NULL) {
		launch->deadline = later(now_ns(), wall->field[0].number);
		launch->grace = wall->field[1].number;
	}
	/* EPIPE: it has died, and init will say so. Anything else would let it wait. */
	if ((hold_last(launch) ? hold_pass(launch) : message_send(launch->job, &message)) < 0 &&
	    errno != EPIPE) {
		(void)blame(launch, 0, errno);
		kill_all(launch);
	}
}

/* The job is ready, so init has sent its sockets: 1 if their keeper has to be asked before it may go. */
static int ask_keeper(struct launch *launch)
{
	if (plan_find(launch->plan, HB_LISTEN) == NULL)
		return 0;
	while (launch->network.left > 0 && launch->failed == 0)
		if (!on_control(launch))
			break;
	if (launch->failed != 0)
		return 1;
	errno = EPROTO; /* init is gone, and has not sent all that its plan names */
	if (launch->network.left > 0 || network_ask(&launch->network) < 0) {
		(void)blame(launch, plan_index(launch->plan, HB_LISTEN), errno);
		kill_all(launch);
		return 1;
	}
	/* It has no reason to think for long, and nothing of the job's runs meanwhile. */
	launch->network.until = later(now_ns(), KEEPER_QUEUE_MS);
	launch->deadline = later(now_ns(), KEEPER_PATIENCE_MS);
	return 1;
}

static void on_network(struct launch *launch)
{
	int heard = network_hear(&launch->network);

	/* Not where something else is waited for by now: the job's end. */
	if (heard == HB_NETWORK_QUEUED && launch->network.asked && launch->failed == 0 &&
	    launch->cause == HB_CAUSE_OWN)
		launch->deadline = earlier(later(now_ns(), KEEPER_PATIENCE_MS), launch->network.until);
	if (heard == HB_NETWORK_SERVED && launch->failed == 0 && launch->job >= 0) {
		launch->deadline = 0;
		watch_go(launch);
	}
	if (heard > 0)
		return;
	if (launch->hello) {
		/* Sockets are closed with their keeper, and the job's connections refused. A packet filter
		 * would stand, with nobody to see if it goes. */
		if (launch->network.needed) {
			launch->cause = HB_CAUSE_LOST;
			kill_all(launch);
		}
		return;
	}
	(void)blame(launch, plan_index(launch->plan, HB_LISTEN), errno);
	kill_all(launch);
}

static void on_job(struct launch *launch)
{
	struct hb_message message;
	pid_t pid = 0;
	int got = message_receive_from(launch->job, &message, &pid);

	if (got == 1 && message.type == HB_HELLO && !launch->hello && launch->failed == 0) {
		read_back_job(launch, pid);
		if (hold_last(launch)) {
			if (hold_ready(launch, pid) < 0)
				kill_all(launch);
			return;
		}
		read_back_pid(launch, pid);
		if (!ask_keeper(launch))
			watch_go(launch);
		return;
	}
	/* Told to go, it has failed at what only a member of a pool does before its exec. */
	if (got == 1 && message.type == HB_FAILED && launch->no_exec == 0) {
		(void)blame(launch, message.step, message.value);
		kill_all(launch);
		return;
	}
	if (got == 1 && message.type == HB_NO_EXEC) {
		launch->no_exec = message.value == 0 ? EIO : message.value;
		(void)record_write(launch->status_fd, HB_RECORD_NO_EXEC, &message.value,
				   sizeof(message.value), NULL, 0);
		return;
	}
	/* End of file: the exec closed the job's end, unless it never got that far. An error:
	 * it was told to go, and nobody can say any more that nothing was run. */
	if (got <= 0 && launch->hello && launch->no_exec == 0 && launch->failed == 0) {
		uint64_t elapsed = now_ns() - launch->began;

		launch->started = 1;
		(void)record_write(launch->status_fd, HB_RECORD_STARTED, &elapsed, sizeof(elapsed),
				   NULL, 0);
	}
	(void)close(launch->job);
	launch->job = -1;
}

static void on_signals(struct launch *launch)
{
	struct signalfd_siginfo info;

	while (read(launch->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		struct hb_message message = {.type = HB_SIGNAL, .value = (int32_t)info.ssi_signo};

		/* The job's own terminal tells it. */
		if (info.ssi_signo == SIGWINCH && launch->relay.pid != 0 &&
		    launch->relay.streams.terminals != 0) {
			relay_resized(&launch->relay);
			continue;
		}
		/* What the terminal sends to a whole group reaches our caller too, who hands it on. */
		if (info.ssi_code == SI_KERNEL && launch->status_fd >= 0)
			continue;
		(void)message_send(launch->control, &message);
		/* A signal that would end us ends a launch that is still being set up. */
		if (!launch->hello && info.ssi_signo != SIGWINCH) {
			(void)blame(launch, 0, EINTR);
			kill_all(launch);
		}
	}
}

/* A limit is hit: SIGTERM, and at the deadline SIGKILL. */
static void end_job(struct launch *launch, enum hb_cause cause)
{
	struct hb_message message = {.type = HB_SIGNAL, .value = SIGTERM};

	launch->cause = cause;
	launch->deadline = later(now_ns(), launch->grace);
	(void)message_send(launch->control, &message);
}

static void on_deadline(struct launch *launch)
{
	if (!launch->hello && launch->network.asked) {
		(void)blame(launch, plan_index(launch->plan, HB_LISTEN), ETIMEDOUT);
		launch->deadline = 0;
		kill_all(launch);
		return;
	}
	if (launch->cause == HB_CAUSE_OWN) {
		end_job(launch, HB_CAUSE_WALL);
		return;
	}
	kill_all(launch);
	launch->deadline = 0;
}

static void on_relay(struct launch *launch)
{
	if (relay_message(&launch->relay) == 1) {
		if (launch->cause == HB_CAUSE_OWN)
			end_job(launch, HB_CAUSE_OUTPUT);
		return;
	}
	/* Killed from outside; what the job writes or reads leads nowhere now. */
	if (launch->cause == HB_CAUSE_OWN)
		launch->cause = HB_CAUSE_LOST;
	kill_all(launch);
}

uint64_t earlier(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

int timeout_ms(const struct launch *launch)
{
	uint64_t now = now_ns();
	uint64_t due = earlier(earlier(launch->deadline, launch->rest), limits_due(launch));

	if (due == 0)
		return -1;
	if (now >= due)
		return 0;
	/* Rounded up, so that the clock is never read just before the deadline; capped for
	 * poll(2), which is then simply called again. */
	uint64_t left = (due - now) / 1000000u + 1;

	return left > 86400000u ? 86400000 : (int)left;
}

void watch(struct launch *launch)
{
	int control_open = 1;
	/* A file of a cgroup can always be read; version 1 has an eventfd. */
	short changed = launch->limits.cgroups[0].version == 2 ? POLLPRI : POLLIN;

	for (;;) {
		/* poll(2) looks at them in this order. What happens last stands first: whoever
		 * sees init's death sees what init and the job had said before, too. */
		struct pollfd events[10] = {
		    {.fd = launch->signals, .events = POLLIN},
		    {.fd = launch->pidfd, .events = POLLIN},
		    {.fd = control_open ? launch->control : -1, .events = POLLIN},
		    {.fd = launch->job, .events = POLLIN},
		    {.fd = launch->status_fd, .events = 0}, /* POLLERR: its reader is gone */
		    {.fd = launch->limits.events, .events = changed},
		    {.fd = launch->relay.link, .events = POLLIN},
		    {.fd = listener_poll(launch), .events = POLLIN},
		    {.fd = launch->network.fd, .events = POLLIN},
		    {.fd = launch->hold.fd, .events = POLLIN},
		};

		if (poll(events, 10, timeout_ms(launch)) < 0 && errno != EINTR) {
			kill_all(launch);
			break;
		}
		if (launch->deadline != 0 && now_ns() >= launch->deadline)
			on_deadline(launch);
		limits_look(launch, events[5].revents != 0);
		if (events[0].revents != 0)
			on_signals(launch);
		if (events[4].revents != 0) {
			launch->cause = HB_CAUSE_CALLER;
			launch->status_fd = -1;
			kill_all(launch);
		}
		if (events[6].revents != 0)
			on_relay(launch);
		if (events[7].revents != 0)
			on_listener(launch, events[7].revents);
		if (events[8].revents != 0)
			on_network(launch);
		if (events[9].revents != 0)
			hold_event(launch);
		if (events[3].revents != 0)
			on_job(launch);
		else if (events[2].revents != 0)
			control_open = on_control(launch);
		else if (events[1].revents != 0)
			break;
	}
}
