/* The outside half of a launch: makes the namespaces, writes the id maps, then watches (watch.c)
 * and tells the caller how it ended (outcome.c).
 *
 * Run by: hardbox-launch, on the host, as the caller. One thread. */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "identity.h"
#include "io.h"
#include "launch.h"
#include "streams.h"
#include "sys.h"
#include "tell.h"
#include "terminal.h"
#include "trees.h"
#include "wire.h"

#define NO_CGROUP {.place = -1, .folder = -1, .tasks = -1}

int blame_init(struct launch *launch, uint32_t step, int error)
{
	struct pollfd event = {.fd = launch->control, .events = POLLIN};
	struct hb_message message;

	if (poll(&event, 1, 0) == 1 && message_receive(launch->control, &message) == 1 &&
	    message.type == HB_FAILED)
		(void)blame(launch, message.step, message.value);
	return blame(launch, step, error);
}

/* A plan is for one user on one kernel: what it relies on was looked up there. */
static int check_host(struct launch *launch)
{
	const struct hb_step *host = plan_find(launch->plan, HB_HOST);
	struct utsname name;

	if (host == NULL)
		return blame(launch, 0, EINVAL);
	if (uname(&name) < 0)
		return blame(launch, plan_index(launch->plan, HB_HOST), errno);
	if (host->field[0].number != geteuid() || strcmp(host->field[1].string, name.release) != 0)
		return blame(launch, plan_index(launch->plan, HB_HOST), EXDEV);
	return 0;
}

/* A descriptor of the caller's that is not open would be taken by the next one that we open. */
static int check_descriptor(int fd)
{
	return fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : 0;
}

static int not_open(int fd)
{
	(void)fprintf(stderr, "hardbox-launch: refused [HB602]: descriptor %d is not open\n"
			      "  nothing was run\n", fd);
	return HB_EXIT_REFUSED;
}

static int make_signals(struct launch *launch)
{
	static const int forwarded[] = {HB_FORWARDED};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		(void)sigaddset(&set, forwarded[i]);
	/* An ignored SIGCHLD, inherited from the caller, would lose the exit status. A write that
	 * fails is told as an error, not by our death. */
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    signal(SIGXFSZ, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return blame(launch, 0, errno);
	launch->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return launch->signals < 0 ? blame(launch, 0, errno) : 0;
}

int prepare_streams(struct launch *launch)
{
	struct hb_streams *streams = &launch->relay.streams;
	uint64_t allowed = plan_find(launch->plan, HB_STDIO)->field[0].number;

	if (streams_check(streams, allowed, plan_find(launch->plan, HB_OUTPUT) != NULL) < 0 ||
	    (streams->relayed != 0 && streams_open(streams) < 0) ||
	    ((allowed & HB_STDIO_REOPEN_PIPES) != 0 && streams_reopen(streams) < 0))
		return blame(launch, plan_index(launch->plan, HB_STDIO), errno);
	if (streams->terminals != 0)
		terminal_save(&launch->relay.terminal, streams->terminals);
	return 0;
}

static int make_init(struct launch *launch, const struct hb_command *command, int lease)
{
	int control[2];
	int job[2];
	int on = 1;
	int deferred = !launch->called;
	struct clone_args args = {
	    .flags = plan_find(launch->plan, HB_NAMESPACES)->field[0].number | CLONE_PIDFD,
	    .pidfd = (uint64_t)(uintptr_t)&launch->pidfd,
	    .exit_signal = SIGCHLD,
	};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, job) < 0 ||
	    setsockopt(job[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return blame(launch, 0, errno);
	launch->control = control[0];
	launch->job = job[0];
	if (launch->limits.cgroups[0].version == 2) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned int)launch->limits.cgroups[0].folder;
	}
	/* Where it is read back it is there from the start: later nobody may look at init. */
	if (deferred)
		args.flags &= ~(uint64_t)CLONE_NEWNET;
	launch->init = sys_clone3(&args);
	if (launch->init == 0)
		init_main(launch->plan, command, control[1], job[1], lease,
			  launch->limits.cgroups, &launch->relay.streams, deferred, &launch->hold);
	if (launch->init < 0)
		return blame(launch, plan_index(launch->plan, HB_NAMESPACES), errno);
	(void)close(control[1]);
	(void)close(job[1]);
	streams_leave(&launch->relay.streams);
	return 0;
}

static int prepare_init(struct launch *launch, const struct hb_lease *lease)
{
	struct hb_message go = {.type = HB_GO};
	uint32_t step = 0;

	read_back_namespaces(launch);
	if (protection_lift(launch->init) < 0)
		return blame_init(launch, 0, errno);
	if (maps_write(launch->plan, lease, launch->init, &step) < 0)
		return blame_init(launch, step, errno);
	if (message_send(launch->control, &go) < 0)
		return blame_init(launch, 0, errno);
	if (trees_send(launch->plan, lease, launch->control, 0, &step) < 0)
		return blame_init(launch, step, errno);
	return limits_apply(launch);
}

static int wait_init(const struct launch *launch, struct rusage *usage)
{
	int status = 0;

	memset(usage, 0, sizeof(*usage));
	while (wait4(launch->init, &status, 0, usage) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

int supervisor_run(const struct hb_plan *plan, const struct hb_command *command, int status_fd,
		   int network_fd, int samples, int hold_fd, uint32_t hold_at)
{
	struct hb_lease lease;
	struct launch launch = {.plan = plan,
				.status_fd = status_fd,
				.called = status_fd >= 0,
				.control = -1,
				.job = -1,
				.signals = -1,
				.listener = -1,
				.pidfd = -1,
				.limits = {.cgroups = {NO_CGROUP, NO_CGROUP},
					   .events = -1,
					   .asked = samples},
				.relay = {.streams = {.job = {-1, -1, -1}, .relay = {-1, -1, -1}},
					  .master = -1,
					  .link = -1},
				.network = {.fd = network_fd},
				.hold = {.fd = hold_fd, .member = hold_fd >= 0, .at = hold_at},
				.lease = &lease,
				.began = now_ns()};
	struct rusage usage;
	uint32_t step = 0;

	if (check_descriptor(status_fd) < 0)
		return not_open(status_fd);
	if (check_descriptor(network_fd) < 0)
		return not_open(network_fd);
	if (check_descriptor(hold_fd) < 0)
		return not_open(hold_fd);
	if (check_host(&launch) < 0 || make_signals(&launch) < 0)
		return report_failure(&launch);
	if (network_check(&launch.network, plan) < 0) {
		(void)blame(&launch, plan_index(plan, HB_LISTEN), errno);
		return report_failure(&launch);
	}
	/* A member of a pool is handed its own later. */
	if (!launch.hold.member && prepare_streams(&launch) < 0)
		return report_failure(&launch);
	if (lease_take(plan, &lease, &step) < 0) {
		(void)blame(&launch, step, errno);
		return report_failure(&launch);
	}
	if (limits_prepare(&launch) < 0 || make_init(&launch, command, lease.fd) < 0) {
		limits_end(&launch);
		return report_failure(&launch);
	}
	if (prepare_init(&launch, &lease) < 0)
		kill_all(&launch);
	else
		watch(&launch);

	int init_status = wait_init(&launch, &usage);

	/* Told to go, and no word of a failed exec: nobody can say any more that nothing was run. */
	if (launch.hello && launch.no_exec == 0 && launch.failed == 0)
		launch.started = 1;
	limits_end(&launch);
	launch.rest = 0;
	relay_end(&launch);
	/* Init dead without a word: killed from outside (out of memory, an operator), or by
	 * us. Before the exec that is a failed set-up, after it the job's death. */
	if (!launch.started && launch.no_exec == 0)
		(void)blame(&launch, 0, WIFSIGNALED(init_status) ? EINTR : ECHILD);
	if (!launch.ended) {
		if (launch.cause == HB_CAUSE_OWN)
			launch.cause = HB_CAUSE_LOST;
		launch.status = SIGKILL;
	}
	if (launch.failed != 0)
		return report_failure(&launch);
	denials_record(&launch);

	int status = report_end(&launch, command->argv[0], &usage);

	denials_explain(&launch);
	return status;
}
