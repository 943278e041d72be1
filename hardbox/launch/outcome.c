/* How a launch ended: told to the caller as a record, or on stderr where there is none, and
 * turned into the exit status.
 *
 * Run by: the supervisor, last. */
#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

/* Length of the valid UTF-8 sequence at `at` that is no control character, 0 if there is none. */
static size_t visible(const unsigned char *at)
{
	size_t more = at[0] < 0x80 ? 0 : at[0] < 0xc2 ? 4 : at[0] < 0xe0 ? 1 : at[0] < 0xf0 ? 2 : 3;

	if (at[0] < ' ' || at[0] == 127 || at[0] > 0xf4 || more == 4)
		return 0;
	for (size_t i = 1; i <= more; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* U+0080..U+009F steer terminals as the others do. */
	return at[0] == 0xc2 && at[1] < 0xa0 ? 0 : more + 1;
}

/* A name out of a plan must not drive the terminal of whoever reads the message; escapes are
 * written as Python writes them. */
static const char *printable(const char *text, char *room, size_t size)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t used = 0;

	while (*at != '\0' && used + 8 < size) {
		size_t length = visible(at);

		if (length > 0) {
			memcpy(room + used, at, length);
			used += length;
			at += length;
			continue;
		}

		/* U+0080..U+009F are written as their number, other bytes as Python's surrogates. */
		int steering = at[0] == 0xc2 && (at[1] & 0xe0) == 0x80;
		const char *form = *at == '\n'			? "\\n"
				   : *at == '\t'		? "\\t"
				   : *at == '\r'		? "\\r"
				   : *at < 0x80 || steering	? "\\x%02x"
								: "\\udc%02x";

		at += steering;

		int done = snprintf(room + used, size - used, form, *at++);

		used += done > 0 ? (size_t)done : 0;
	}
	room[used] = '\0';
	return room;
}

/* The same words as hardbox/engines/failures.py (tests/system/test_sealed.py compares them). */
#define STREAM_END                                                                               \
	"  rule     leaking-descriptors: CIS-5.18, 800-190-4.5.5\n"                              \
	"  instead  redirect from a file, a pipe or /dev/null\n"                                 \
	"  nothing was run\n"
#define DIRECTORY_REFUSED                                                                        \
	"hardbox: refused [HB210]: a directory stands on descriptor 0, 1 or 2\n"                 \
	"  why      a directory descriptor leads out of any root (openat(2) with \"..\")\n" STREAM_END
#define STREAM_REFUSED                                                                           \
	"hardbox: refused [HB210]: something that leads out of the sandbox stands on descriptor "  \
	"0, 1 or 2\n"                                                                            \
	"  why      block devices, host devices, named sockets and O_PATH descriptors are the "   \
	"host's\n" STREAM_END

#define SOCKET_REFUSED                                                                           \
	"hardbox: refused [HB210]: a socket pair stands on descriptor 0, 1 or 2\n"               \
	"  why      streams.sockets = \"refuse\" in the profile\n" STREAM_END

static void say_failed(const struct launch *launch, const struct hb_step *step)
{
	char text[256];
	const char *first = step != NULL && step->field[0].string != NULL ? step->field[0].string : "";

	if (launch->failed == EINTR) {
		(void)fprintf(stderr, "hardbox: set-up failed [HB603]: interrupted before the command started\n"
				      "  why      a signal arrived, or the sandbox was killed from outside\n"
				      "  nothing was run\n");
		return;
	}
	if (step != NULL && step->kind == HB_HOST && launch->failed == EXDEV) {
		(void)fprintf(stderr, "hardbox: set-up failed [HB601]: the plan was made for uid %llu on "
				      "kernel %s\n"
				      "  why      what it relies on was looked up there, by that user\n"
				      "  instead  hardbox compile, as this user and on this kernel\n"
				      "  nothing was run\n",
			      (unsigned long long)step->field[0].number,
			      printable(step->field[1].string, text, sizeof(text)));
		return;
	}
	if (step != NULL && step->kind == HB_SECCOMP && launch->failed == EBUSY) {
		(void)fprintf(stderr, "hardbox: set-up failed [HB630]: somebody around this process listens to "
				      "its system calls already\n"
				      "  why      the kernel allows one such listener\n"
				      "  instead  --set seccomp.denials=silent\n"
				      "  nothing was run\n");
		return;
	}
	(void)fprintf(stderr,
		      "hardbox: set-up failed [HB601]: step %u of %u, %s%s%s: %s\n"
		      "  instead  hardbox doctor; HARDBOX_NO_CACHE=1 hardbox run ... says more\n"
		      "  nothing was run\n",
		      launch->failed_step, launch->plan->count, step != NULL ? step->name : "set-up",
		      first[0] == '\0' ? "" : " ", printable(first, text, sizeof(text)),
		      strerror(launch->failed));
}

/* Whether words can go to stderr: Linux 6.1 takes them for an eventfd's numbers, until its
 * counter is full and the writer waits for ever. eventfd(2) and its like are no kind of file. */
static int can_be_told(void)
{
	struct stat found;

	return fstat(STDERR_FILENO, &found) == 0 && (found.st_mode & S_IFMT) != 0;
}

int report_failure(const struct launch *launch)
{
	int known = launch->failed_step > 0 && launch->failed_step <= launch->plan->count;
	const struct hb_step *step = known ? &launch->plan->steps[launch->failed_step - 1] : NULL;

	if (launch->called) {
		uint32_t head[2] = {launch->failed_step, (uint32_t)launch->failed};

		(void)record_write(launch->status_fd, HB_RECORD_FAILED, head, sizeof(head), NULL, 0);
		return HB_EXIT_REFUSED;
	}

	if (known && step->kind == HB_STDIO && !can_be_told())
		return HB_EXIT_REFUSED;
	if (known && step->kind == HB_STDIO && launch->failed == EPROTONOSUPPORT)
		(void)fputs(SOCKET_REFUSED, stderr);
	else if (known && step->kind == HB_STDIO && (launch->failed == EISDIR || launch->failed == ENOTSUP))
		(void)fputs(launch->failed == EISDIR ? DIRECTORY_REFUSED : STREAM_REFUSED, stderr);
	else
		say_failed(launch, known ? step : NULL);
	return HB_EXIT_REFUSED;
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static int missing(const struct launch *launch)
{
	return launch->no_exec == ENOENT || launch->no_exec == ENOTDIR;
}

/* Why a command was not found that the caller, outside, sees. */
static const char *where_it_is(const char *command)
{
	struct stat found;
	int outside = stat(command, &found) == 0 && S_ISREG(found.st_mode);

	if (strchr(command, '/') != NULL)
		return outside ? "hardbox: it exists on the host: show it with --read, or the interpreter "
				 "that its first line names\n"
			       : "";
	return outside ? "hardbox: such a file stands in this directory: --read . shows it, and it is named "
			 "with ./ in front\n"
		       : "hardbox: only the profile's PATH, in what the profile shows, is searched; --read "
			 "DIR shows more\n";
}

/* Which limit of each process a signal comes from; "" if none is known. The kernel sends
 * SIGKILL, not SIGXCPU, where both limits on CPU time are the same, and counts in ticks: what it
 * tells us may be less. */
static const char *limit_of(const struct launch *launch, uint64_t cpu)
{
	int number = WIFSIGNALED(launch->status) ? WTERMSIG(launch->status) : 0;

	if (number == SIGXFSZ)
		return "hardbox: ended by SIGXFSZ: a file grew beyond limits.file_size\n";
	if (number == SIGSYS)
		return "hardbox: ended by SIGSYS: a call of another architecture (i386, x32), or a filter "
		       "of its own\n";
	if (number != SIGKILL && number != SIGXCPU)
		return "";
	for (uint32_t i = 0; i < launch->plan->count; i++) {
		const struct hb_step *step = &launch->plan->steps[i];

		if (step->kind == HB_RLIMIT && step->field[0].number == RLIMIT_CPU &&
		    cpu / 750000u >= step->field[1].number)
			return "hardbox: ended by a signal, after the CPU time that limits.cpu_time gives "
			       "a process\n";
	}
	return "";
}

/* In the largest unit that divides it, as profiles write it. */
static void say_memory(const struct launch *launch)
{
	static const char units[] = "\0KMGT";
	const struct hb_limits *limits = &launch->limits;
	uint64_t size = limits->memory;
	char name[128];
	int unit = 0;

	while (unit < 4 && size % 1024 == 0) {
		size /= 1024;
		unit++;
	}
	(void)fprintf(stderr, "hardbox: ended by its memory limit of %llu%.1s (%s%s%s)\n",
		      (unsigned long long)size, units + unit, limits_means(limits),
		      limits->name[0] == '\0' ? "" : "; most: ",
		      printable(limits->name, name, sizeof(name)));
}

/* The same words as hardbox/cli/ended.py, which says them where there are records. */
static void say_end(const struct launch *launch, const char *command, uint64_t wall, uint64_t cpu)
{
	char text[256];

	if (launch->no_exec != 0)
		(void)fprintf(stderr, "hardbox: %s in the sandbox: %s\n%s",
			      missing(launch) ? "not found" : "cannot be executed",
			      printable(command, text, sizeof(text)),
			      missing(launch) ? where_it_is(command) : "");
	else if (launch->cause == HB_CAUSE_WALL)
		(void)fprintf(stderr, "hardbox: ended by its wall time limit after %.1f s\n",
			      (double)wall / 1e9);
	else if (launch->cause == HB_CAUSE_MEMORY)
		say_memory(launch);
	else if (launch->cause == HB_CAUSE_OUTPUT)
		(void)fprintf(stderr, "hardbox: ended by its output limit after %.1f s\n",
			      (double)wall / 1e9);
	else if (launch->cause == HB_CAUSE_CALLER || launch->cause == HB_CAUSE_LOST)
		(void)fprintf(stderr, "hardbox: the sandbox was killed from outside\n");
	else
		(void)fputs(limit_of(launch, cpu), stderr);
}

int report_end(const struct launch *launch, const char *command, const struct rusage *usage)
{
	struct {
		int32_t status;
		uint32_t cause;
		uint64_t wall, user, system, rss;
	} head = {
	    .status = launch->status,
	    .cause = (uint32_t)launch->cause,
	    .wall = now_ns() - launch->began,
	    .user = microseconds(usage->ru_utime),
	    .system = microseconds(usage->ru_stime),
	    .rss = (uint64_t)usage->ru_maxrss,
	};

	(void)record_write(launch->status_fd, HB_RECORD_ENDED, &head, sizeof(head), NULL, 0);
	if (!launch->called)
		say_end(launch, command, head.wall, head.user + head.system);
	if (launch->no_exec != 0)
		return missing(launch) ? HB_EXIT_NOT_FOUND : HB_EXIT_CANNOT_EXECUTE;
	if (launch->cause == HB_CAUSE_WALL || launch->cause == HB_CAUSE_OUTPUT)
		return HB_EXIT_TIME_LIMIT;
	if (launch->cause == HB_CAUSE_MEMORY)
		return HB_EXIT_SIGNAL_BASE + SIGKILL;
	if (WIFSIGNALED(launch->status))
		return HB_EXIT_SIGNAL_BASE + WTERMSIG(launch->status);
	return WEXITSTATUS(launch->status);
}
