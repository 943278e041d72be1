/* The steps that leave nothing to the job: identity, limits, Landlock, capabilities, filter.
 *
 * Run by: init. The order is the plan's; tests/unit/test_plan.py states it. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/securebits.h>

#include "cpus.h"
#include "filter.h"
#include "io.h"
#include "sys.h"

/* As the kernel gives it to the first process (init/init_task.c). */
#define TIMER_SLACK_NS 50000ul

/* landlock(7): rights that a descriptor's own mode stands for. */
#define LANDLOCK_WRITE_FILE (1ull << 1)
#define LANDLOCK_READ_FILE (1ull << 2)
#define LANDLOCK_TRUNCATE (1ull << 14)
#define LANDLOCK_IOCTL_DEV (1ull << 15)

static int become(const struct hb_step *step)
{
	gid_t gid = (gid_t)step->field[1].number;
	uid_t uid = (uid_t)step->field[0].number;

	return sys_setresgid(gid, gid, gid) < 0 ? -1 : sys_setresuid(uid, uid, uid);
}

static int step_set_ids(const struct hb_step *step)
{
	if ((step->field[2].number & HB_SET_IDS_DROP_GROUPS) != 0 && sys_setgroups(0, NULL) < 0)
		return -1;
	return become(step);
}

static int step_loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	return closing(ioctl(fd, SIOCSIFFLAGS, &request), fd);
}

static int step_rlimit(const struct hb_step *step)
{
	struct rlimit limit = {.rlim_cur = step->field[1].number, .rlim_max = step->field[2].number};
	struct rlimit now;
	int which = (int)step->field[0].number;

	if (sys_prlimit(which, NULL, &now) < 0)
		return -1;
	/* The caller's own hard limit may be lower already; it cannot be raised, and lower
	 * is never weaker. */
	if (limit.rlim_max > now.rlim_max)
		limit.rlim_max = now.rlim_max;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	return sys_prlimit(which, &limit, NULL);
}

/* What a job would inherit from whoever called us, set to what it is at boot; a priority that
 * is lower than usual stays. */
static int step_normalise(void)
{
	struct rlimit nothing = {0};
	int policy = sys_scheduler();

	(void)umask(022);
	for (int signal = 1; signal < _NSIG; signal++) {
		/* SIGKILL and SIGSTOP cannot be set, nor need be. */
		if (sys_signal_default(signal) < 0 && errno != EINVAL)
			return -1;
	}
	if (policy < 0)
		return -1;
	if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE &&
	    sys_scheduler_other() < 0)
		return -1;
	if (getpriority(PRIO_PROCESS, 0) < 0 && setpriority(PRIO_PROCESS, 0, 0) < 0)
		return -1;
	/* ENOSYS: a kernel without block devices has no such priority. */
	if ((sys_ioprio_reset() < 0 && errno != ENOSYS) || setrlimit(RLIMIT_NICE, &nothing) < 0 ||
	    setrlimit(RLIMIT_RTPRIO, &nothing) < 0)
		return -1;
	if (personality(PER_LINUX) < 0)
		return -1;
	/* Not 0, which means what was inherited. */
	return prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
}

static int step_landlock(struct hb_init *init, const struct hb_step *step)
{
	struct hb_landlock_ruleset ruleset = {.handled_access_fs = step->field[0].number,
					      .handled_access_net = step->field[1].number,
					      .scoped = step->field[2].number};

	init->landlock = sys_landlock_create(&ruleset);
	return init->landlock < 0 ? -1 : 0;
}

static int step_landlock_path(const struct hb_init *init, const struct hb_step *step)
{
	int fd = open_host(step->field[0].string);

	if (fd < 0)
		return -1;

	struct hb_landlock_path rule = {.allowed_access = step->field[1].number, .parent_fd = fd};

	return closing(sys_landlock_add(init->landlock, &rule), fd);
}

/* /dev/stdin and friends reopen what stands on descriptors 0-2; allow exactly the access
 * that the descriptor has already, so that a file given for reading stays unwritable. */
static int step_landlock_stdio(const struct hb_init *init, const struct hb_step *step)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat found;
		int mode = fcntl(fd, F_GETFL);
		uint64_t access = 0;

		if (mode < 0 || fstat(fd, &found) < 0)
			return -1;
		if (!S_ISREG(found.st_mode) && !S_ISCHR(found.st_mode))
			continue;
		if ((mode & O_ACCMODE) != O_WRONLY)
			access |= LANDLOCK_READ_FILE;
		if ((mode & O_ACCMODE) != O_RDONLY)
			access |= LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE;
		if (S_ISCHR(found.st_mode))
			access |= LANDLOCK_IOCTL_DEV;

		struct hb_landlock_path rule = {.allowed_access = access & step->field[0].number,
						.parent_fd = fd};

		/* Memory files and the like have no place in a tree, and need no rule. */
		if (sys_landlock_add(init->landlock, &rule) < 0 && errno != EBADFD)
			return -1;
	}
	return 0;
}

static int step_landlock_enforce(struct hb_init *init)
{
	if (sys_landlock_restrict(init->landlock) < 0)
		return -1;

	int result = close(init->landlock);

	init->landlock = -1;
	return result;
}

#define SECUREBITS                                                                               \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                         \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED)

static int step_securebits(void)
{
	return prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0);
}

/* Up to whatever the kernel says is its last capability, known to us or not. */
static int step_drop_bounding_set(const struct hb_step *step)
{
	for (unsigned int capability = 0; capability < 64; capability++) {
		if ((step->field[0].number >> capability & 1) != 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return errno == EINVAL && capability > 0 ? 0 : -1;
	}
	return 0;
}

/* All five sets become `keep`: the ambient set carries it over exec, and is then locked,
 * which needs CAP_SETPCAP until the very end. */
static int step_set_caps(const struct hb_step *step)
{
	uint64_t keep = step->field[0].number;

	if (sys_capset(keep | 1ull << CAP_SETPCAP, keep) < 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	for (unsigned int capability = 0; capability < 64; capability++)
		if ((keep >> capability & 1) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
			return -1;
	if (prctl(PR_SET_SECUREBITS,
		  SECUREBITS | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0,
		  0, 0) < 0)
		return -1;
	return sys_capset(keep, keep);
}

int drop_step(struct hb_init *init, const struct hb_step *step)
{
	switch (step->kind) {
	case HB_BECOME:
		return become(step);
	case HB_HOSTNAME:
		return sethostname(step->field[0].string, step->field[0].length);
	case HB_LOOPBACK_UP:
		return step_loopback_up();
	case HB_KEYRING:
		return sys_keyctl_new_session() < 0 ? -1 : 0;
	case HB_RLIMIT:
		return step_rlimit(step);
	case HB_CPUS:
		return cpus_keep(0, step->field[0].number);
	case HB_NORMALISE:
		return step_normalise();
	case HB_CHDIR:
		return chdir(step->field[0].string);
	case HB_NO_NEW_PRIVS:
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	case HB_LANDLOCK:
		return step_landlock(init, step);
	case HB_LANDLOCK_PATH:
		return step_landlock_path(init, step);
	case HB_LANDLOCK_STDIO:
		return step_landlock_stdio(init, step);
	case HB_LANDLOCK_ENFORCE:
		return step_landlock_enforce(init);
	case HB_SECUREBITS:
		return step_securebits();
	case HB_DROP_BOUNDING_SET:
		return step_drop_bounding_set(step);
	case HB_SET_IDS:
		return step_set_ids(step);
	case HB_SET_CAPS:
		return step_set_caps(step);
	case HB_SECCOMP:
		return filter_load(init, step);
	default:
		errno = EINVAL;
		return -1;
	}
}
