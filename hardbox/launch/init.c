/* Pid 1 of the sandbox: runs the plan's steps, drops everything, forks the job, reaps.
 *
 * Run by: init, from clone3() in supervisor.c to the end of the sandbox. It shares the
 * supervisor's memory image but nothing of it survives into the job: init is not
 * dumpable, so nobody inside can look at it, and the job's exec replaces its copy. */
#include "init.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "hold.h"
#include "io.h"
#include "network.h"
#include "sys.h"
#include "terminal.h"
#include "trees.h"
#include "wire.h"

#define EXIT_INIT_FAILED 125
#define KEPT 4 /* descriptors that init needs: control, job, signals, lease */

static _Noreturn void fail(const struct hb_init *init, uint32_t step)
{
	struct hb_message message = {.type = HB_FAILED, .value = errno, .step = step};

	/* If the supervisor is gone too there is nobody left to tell. */
	(void)message_send(init->control, &message);
	_exit(EXIT_INIT_FAILED);
}

/* Die with the supervisor, even within a step that hangs. The kernel forgets this whenever
 * credentials change, so it is said again behind such steps; a supervisor that died before
 * it was said shows as a hang-up. */
static int follow_supervisor(const struct hb_init *init)
{
	struct pollfd event = {.fd = init->control};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || poll(&event, 1, 0) < 0)
		return -1;
	if ((event.revents & (POLLHUP | POLLERR)) != 0)
		_exit(EXIT_INIT_FAILED);
	return 0;
}

/* Before anything else, init is in the sandbox's cgroups: made there by clone3 (version 2), or moved
 * here. A thread that moves itself needs none of the locks that moving another one waits for, which
 * takes many milliseconds. The root of init's view is still the supervisor's cgroup; from here on
 * /proc/self/cgroup tells nothing of where that is. */
static int enter_cgroups(const struct hb_plan *plan, const struct hb_cgroup *cgroups)
{
	uint64_t flags = plan_find(plan, HB_NAMESPACES)->field[0].number;

	if (plan_find(plan, HB_CGROUP) == NULL)
		return 0;
	for (size_t i = 0; i < HB_CGROUPS_MAX; i++)
		if (cgroups[i].tasks >= 0 && write_whole(cgroups[i].tasks, "0", 1) < 0)
			return -1;
	return (flags & CLONE_NEWCGROUP) == 0 ? 0 : unshare(CLONE_NEWCGROUP);
}

/* Whether a step only builds the root: init may still be in the caller's network namespace then, where it
 * has no rights. */
static int builds_root(const struct hb_step *step)
{
	static const char own[] = "/proc/sys/user/"; /* of the user namespace */

	return step->kind < HB_PIVOT_ROOT &&
	       (step->kind != HB_SYSCTL || strncmp(step->field[0].string, own, strlen(own)) == 0);
}

static int run_step(struct hb_init *init, const struct hb_step *step, const int keep[KEPT])
{
	if (!builds_root(step) && hand_network(&init->hand) < 0)
		return -1;
	if (step->kind >= HB_PRIVATE && step->kind <= HB_PIVOT_ROOT)
		return mount_step(init, step);
	if (step->kind == HB_TERMINAL)
		return terminal_step(init, step);
	if (step->kind == HB_LISTEN || step->kind == HB_LOCAL_ROUTE)
		return network_step(init, step);
	if (step->kind == HB_CLOSE_FDS)
		return hand_end(&init->hand) < 0 ? -1 : close_others(keep, KEPT);
	/* From here on init has the job's credentials, and nobody inside may look at it. */
	if (step->kind == HB_SECCOMP && (follow_supervisor(init) < 0 ||
					 prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
		return -1;
	if (drop_step(init, step) < 0)
		return -1;
	return step->kind == HB_BECOME || step->kind == HB_SET_CAPS ? follow_supervisor(init) : 0;
}

/* The job: says hello, waits for the supervisor to have read it back, becomes the command. */
static _Noreturn void job_main(struct hb_command *command, const int keep[KEPT], int socket,
			       int interactive, const struct hb_plan *waits)
{
	struct hb_message message = {.type = HB_HELLO};
	sigset_t none;

	/* All of them would be closed by the exec; this way they are not there to be read back. */
	for (int i = 0; i < KEPT; i++)
		if (keep[i] >= 0 && keep[i] != socket && close(keep[i]) < 0)
			_exit(EXIT_INIT_FAILED);
	if (setsid() < 0 || sigemptyset(&none) < 0)
		_exit(EXIT_INIT_FAILED);
	/* A filter of one's own may forbid it: then there is no job control, and no less wall. */
	if (interactive)
		(void)ioctl(0, TIOCSCTTY, 0);
	if (message_send(socket, &message) < 0)
		_exit(EXIT_INIT_FAILED);
	/* From here on an end without a word would be taken for the exec. */
	if (waits != NULL) {
		uint32_t step;

		if (hold_job(waits, socket, command, &step) == 0 &&
		    sigprocmask(SIG_SETMASK, &none, NULL) == 0) {
			command_exec(command);
			message = (struct hb_message){.type = HB_NO_EXEC, .value = errno};
		} else {
			message = (struct hb_message){
			    .type = HB_FAILED, .value = errno, .step = step};
		}
		(void)message_send(socket, &message);
		_exit(EXIT_INIT_FAILED);
	}
	if (message_receive(socket, &message) == 1 && message.type == HB_GO &&
	    sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		command_exec(command);
	message = (struct hb_message){.type = HB_NO_EXEC, .value = errno};
	(void)message_send(socket, &message);
	_exit(EXIT_INIT_FAILED);
}

/* Terminal signals go to the job's whole group, as the terminal would send them. */
static void forward(pid_t job, int signal)
{
	int group = signal == SIGINT || signal == SIGQUIT || signal == SIGHUP || signal == SIGWINCH;

	/* ESRCH: it has just ended, which the next wait will tell. */
	if (!group || kill(-job, signal) < 0)
		(void)kill(job, signal);
	/* A job that has stopped itself would never see what is to end it (as timeout(1)). */
	if (signal == SIGTERM || group)
		(void)kill(job, SIGCONT);
}

/* Reap whatever ends; 1 once the job itself has ended. */
static int reap(pid_t job, int *status)
{
	for (;;) {
		int ended;
		pid_t pid = waitpid(-1, &ended, WNOHANG);

		if (pid <= 0)
			return 0;
		if (pid == job) {
			*status = ended;
			return 1;
		}
	}
}

static _Noreturn void watch(const struct hb_init *init, pid_t job, int signals)
{
	struct pollfd events[2] = {{.fd = init->control, .events = POLLIN},
				   {.fd = signals, .events = POLLIN}};

	for (;;) {
		struct signalfd_siginfo info;
		struct hb_message message;

		if (poll(events, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			_exit(EXIT_INIT_FAILED);
		}
		if ((events[1].revents & POLLIN) != 0 &&
		    read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			int status;

			if (reap(job, &status) == 1) {
				message = (struct hb_message){.type = HB_ENDED, .value = status};
				(void)message_send(init->control, &message);
				_exit(0); /* the kernel ends whatever else is in here */
			}
		}
		if (events[0].revents != 0) {
			if (message_receive(init->control, &message) != 1)
				_exit(EXIT_INIT_FAILED); /* the supervisor is gone */
			if (message.type == HB_SIGNAL)
				forward(job, message.value);
		}
	}
}

_Noreturn void init_main(const struct hb_plan *plan, const struct hb_command *command, int control,
			 int job_socket, int lease, const struct hb_cgroup *cgroups,
			 const struct hb_streams *streams, int network, const struct hb_hold *hold)
{
	struct hb_command own = *command;
	struct hb_plan brought;
	struct hb_init init = {
	    .plan = plan, .streams = streams, .control = control, .root = -1, .landlock = -1,
	    .cover.fd = -1, .parent.fd = -1};
	struct hb_message message;
	sigset_t child;
	int signals;
	int keep[KEPT] = {control, job_socket, -1, lease};
	uint32_t blamed;

	(void)prctl(PR_SET_NAME, "hardbox-init", 0, 0, 0);
	if (enter_cgroups(plan, cgroups) < 0)
		fail(&init, plan_index(plan, HB_CGROUP));
	(void)umask(0); /* modes are the plan's; the job's umask is set by its NORMALISE step */
	if (streams_enter(streams) < 0 || close_others(keep, KEPT) < 0 || sigfillset(&child) < 0 ||
	    sigprocmask(SIG_SETMASK, &child, NULL) < 0 || follow_supervisor(&init) < 0)
		fail(&init, 0);
	if (sigemptyset(&child) < 0 || sigaddset(&child, SIGCHLD) < 0)
		fail(&init, 0);
	signals = signalfd(-1, &child, SFD_CLOEXEC);
	keep[2] = signals;
	if (signals < 0)
		fail(&init, 0);
	hand_start(&init.hand, network);
	/* Until the id maps are written init has no identity; end of file: given up. */
	if (message_receive(control, &message) != 1 || message.type != HB_GO)
		_exit(EXIT_INIT_FAILED);
	if (trees_receive(&init, &blamed) < 0)
		fail(&init, blamed);
	for (uint32_t i = 0; i < plan->count; i++) {
		if (hold->member && hold->at != 0 && i == hold->at && plan != &brought) {
			if (hold_init(&init, hold->at, &brought, &own, &blamed) < 0)
				fail(&init, blamed);
			i = hold_resumes(plan, &brought, hold->at);
			plan = &brought;
		}

		const struct hb_step *step = &plan->steps[i];

		if (step->phase == HB_PHASE_INSIDE && step->kind != HB_EXEC &&
		    run_step(&init, step, keep) < 0)
			fail(&init, i + 1);
	}

	pid_t job = sys_fork();

	if (job < 0)
		fail(&init, plan->count);
	if (job == 0)
		job_main(&own, keep, job_socket, (streams->terminals & 1u) != 0,
			 hold->member && hold->at == 0 ? plan : NULL);
	(void)close(job_socket);
	if (command->line_size > 0)
		memset(command->line, 0, command->line_size);
	watch(&init, job, signals);
}
