/* Makes one thing go wrong at one exact point of a launch: a process is killed at its N-th
 * system call, one call of it fails, or a call does not exist at all, as on an older kernel.
 *
 * Run by: tests/faults/trace.py, which compiles it. ptrace(2), because only a tracer can stop
 * the launcher and the sandbox's init at a chosen call and then act on both.
 *
 *   fault LOG look -- PROGRAM ARG...                 write every call to LOG, change nothing
 *   fault LOG kill WHO N WHOM -- PROGRAM ARG...      SIGKILL; WHOM: launcher, init or both
 *   fault LOG error WHO N ERRNO -- PROGRAM ARG...    the call is not made and gives -ERRNO
 *   fault LOG receive N ERRNO -- PROGRAM ARG...      the same, the launcher's N-th recvmsg(2)
 *   fault LOG without CALL FIRST ERRNO -- ...        no such call; FIRST: its first argument, or "any"
 *
 * WHO: launcher, init, helper (another child of the launcher), hand (init's, before the job)
 * or job (until its exec, from where on it is left alone). LOG: a line "role number call" for each call, "done" behind what
 * was made to happen, "exec" when the job became the command. The exit status is PROGRAM's. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#define MOST_PROCESSES 64
#define TROUBLE 99

enum role { UNKNOWN, OTHER, LAUNCHER, INIT, HELPER, HAND, JOB };
static const char *const role_names[] = {"unknown", "other", "launcher", "init", "helper", "hand", "job"};

struct process {
	pid_t pid;
	enum role role;
	unsigned long calls;
	int waiting; /* stopped before its parent told of it */
	int pending; /* errno that the call under way is to give */
};

static struct process processes[MOST_PROCESSES];
static const char *mode = "look";
static enum role who;
static const char *whom = "";
static unsigned long at, call, first, received;
static int any_first, number, done, had_init;
static FILE *log_file;

static _Noreturn void trouble(const char *what)
{
	(void)fprintf(stderr, "fault: %s: %s\n", what, strerror(errno));
	_exit(TROUBLE);
}

static struct process *find(pid_t pid)
{
	struct process *empty = NULL;

	for (size_t i = 0; i < MOST_PROCESSES; i++) {
		if (processes[i].pid == pid)
			return &processes[i];
		if (processes[i].pid == 0 && empty == NULL)
			empty = &processes[i];
	}
	if (empty == NULL)
		trouble("too many processes");
	*empty = (struct process){.pid = pid};
	return empty;
}

static pid_t first_of(enum role role)
{
	for (size_t i = 0; i < MOST_PROCESSES; i++)
		if (processes[i].pid != 0 && processes[i].role == role)
			return processes[i].pid;
	return 0;
}

static enum role role_of(const char *name)
{
	for (size_t i = 0; i < sizeof(role_names) / sizeof(role_names[0]); i++)
		if (strcmp(name, role_names[i]) == 0)
			return (enum role)i;
	trouble("no such role");
}

static void let_go(pid_t pid, int signal)
{
	/* ESRCH: it has been killed, and its end will be reported. */
	if (ptrace(PTRACE_SYSCALL, pid, 0, signal) < 0 && errno != ESRCH)
		trouble("PTRACE_SYSCALL");
}

static void happened(void)
{
	done = 1;
	(void)fprintf(log_file, "done\n");
}

static int strike(enum role role)
{
	pid_t pid = first_of(role);

	if (pid != 0 && kill(pid, SIGKILL) < 0 && errno != ESRCH)
		trouble("kill");
	return pid != 0;
}

static void entry(struct process *process, const struct ptrace_syscall_info *info)
{
	int here;

	process->calls++;
	(void)fprintf(log_file, "%s %lu %llu\n", role_names[process->role], process->calls,
		      info->entry.nr);
	here = !done && process->role == who && process->calls == at;
	if (strcmp(mode, "receive") == 0)
		here = process->role == LAUNCHER && info->entry.nr == SYS_recvmsg && ++received == at;
	if (here && strcmp(mode, "kill") == 0) {
		int launcher = strcmp(whom, "init") != 0 && strike(LAUNCHER);
		int init = strcmp(whom, "launcher") != 0 && strike(INIT);

		if (launcher || init)
			happened();
	} else if ((here && (strcmp(mode, "error") == 0 || strcmp(mode, "receive") == 0)) ||
		   (strcmp(mode, "without") == 0 && info->entry.nr == call &&
		    (any_first || info->entry.args[0] == first))) {
		struct user_regs_struct registers;

		if (ptrace(PTRACE_GETREGS, process->pid, 0, &registers) < 0)
			trouble("PTRACE_GETREGS");
		registers.orig_rax = ~0ull;
		if (ptrace(PTRACE_SETREGS, process->pid, 0, &registers) < 0)
			trouble("PTRACE_SETREGS");
		process->pending = number;
		happened();
	}
}

static void syscall_stop(struct process *process)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, sizeof(info), &info) < 0) {
		if (errno == ESRCH)
			return;
		trouble("PTRACE_GET_SYSCALL_INFO");
	}
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		entry(process, &info);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && process->pending != 0) {
		struct user_regs_struct registers;

		if (ptrace(PTRACE_GETREGS, process->pid, 0, &registers) < 0)
			trouble("PTRACE_GETREGS");
		registers.rax = (unsigned long long)-process->pending;
		if (ptrace(PTRACE_SETREGS, process->pid, 0, &registers) < 0)
			trouble("PTRACE_SETREGS");
		process->pending = 0;
	}
}

static void born(const struct process *parent, int event)
{
	unsigned long pid;
	struct process *child;

	if (ptrace(PTRACE_GETEVENTMSG, parent->pid, 0, &pid) < 0) {
		if (errno == ESRCH)
			return;
		trouble("PTRACE_GETEVENTMSG");
	}
	child = find((pid_t)pid);
	/* Init is the first child, and the only one: at the end, when init is gone, the launcher starts
	 * `hardbox denied`, whose children are no job. */
	if (parent->role == LAUNCHER) {
		child->role = had_init ? HELPER : INIT;
		had_init = 1;
	} else {
		/* Init's hand is a clone that sends no SIGCHLD. */
		child->role = parent->role != INIT ? OTHER : event == PTRACE_EVENT_CLONE ? HAND : JOB;
	}
	if (child->waiting) {
		child->waiting = 0;
		let_go(child->pid, 0);
	}
}

/* 1 if it was let go for good. */
static int executed(struct process *process)
{
	char path[64], target[512];
	ssize_t length;

	if (process->role == JOB) {
		(void)fprintf(log_file, "exec\n");
		(void)fflush(log_file);
		if (ptrace(PTRACE_DETACH, process->pid, 0, 0) < 0 && errno != ESRCH)
			trouble("PTRACE_DETACH");
		process->pid = 0;
		return 1;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)process->pid);
	length = readlink(path, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	if (process->role == OTHER && strstr(target, "hardbox-launch") != NULL) {
		process->role = LAUNCHER;
		process->calls = 0;
	}
	return 0;
}

static void stopped(pid_t pid, int status)
{
	struct process *process = find(pid);
	int event = status >> 16;
	int signal = WSTOPSIG(status);

	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
		born(process, event);
		signal = 0;
	} else if (event == PTRACE_EVENT_EXEC) {
		if (executed(process))
			return;
		signal = 0;
	} else if (event == PTRACE_EVENT_STOP) {
		signal = 0;
		if (process->role == UNKNOWN) {
			process->waiting = 1;
			return;
		}
	} else if (signal == (SIGTRAP | 0x80)) {
		syscall_stop(process);
		signal = 0;
	}
	let_go(pid, signal);
}

static void options(int argc, char **argv)
{
	mode = argv[0];
	if (strcmp(mode, "kill") == 0 && argc == 4) {
		who = role_of(argv[1]);
		at = strtoul(argv[2], NULL, 10);
		whom = argv[3];
	} else if (strcmp(mode, "error") == 0 && argc == 4) {
		who = role_of(argv[1]);
		at = strtoul(argv[2], NULL, 10);
		number = atoi(argv[3]);
	} else if (strcmp(mode, "receive") == 0 && argc == 3) {
		at = strtoul(argv[1], NULL, 10);
		number = atoi(argv[2]);
	} else if (strcmp(mode, "without") == 0 && argc == 4) {
		call = strtoul(argv[1], NULL, 10);
		any_first = strcmp(argv[2], "any") == 0;
		first = any_first ? 0 : strtoul(argv[2], NULL, 0);
		number = atoi(argv[3]);
	} else if (strcmp(mode, "look") != 0) {
		trouble("usage");
	}
}

int main(int argc, char **argv)
{
	int cut = 2;
	int result = TROUBLE;
	pid_t program, pid;
	int status;

	while (cut < argc && strcmp(argv[cut], "--") != 0)
		cut++;
	if (cut < 3 || cut + 1 >= argc)
		trouble("usage");
	options(cut - 2, argv + 2);
	log_file = fopen(argv[1], "we");
	if (log_file == NULL)
		trouble(argv[1]);
	program = fork();
	if (program < 0)
		trouble("fork");
	if (program == 0) {
		(void)raise(SIGSTOP);
		(void)execvp(argv[cut + 1], argv + cut + 1);
		_exit(TROUBLE);
	}
	if (waitpid(program, &status, WUNTRACED) != program || !WIFSTOPPED(status))
		trouble("waitpid");
	if (ptrace(PTRACE_SEIZE, program, 0,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			   PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
		trouble("PTRACE_SEIZE");
	find(program)->role = OTHER;
	if (kill(program, SIGCONT) < 0)
		trouble("kill");
	/* To the end of the last one: whatever is left behind makes this hang, which is seen. */
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status)) {
			stopped(pid, status);
			continue;
		}
		if (pid == program)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		find(pid)->pid = 0;
	}
	if (fclose(log_file) != 0)
		trouble("log");
	return result;
}
