/* Thin wrappers over syscall(2).  Run by: supervisor and init. */
#include "sys.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>

pid_t sys_clone3(struct clone_args *args)
{
	return (pid_t)syscall(SYS_clone3, args, sizeof(*args));
}

pid_t sys_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

int sys_setresuid(uid_t real, uid_t effective, uid_t saved)
{
	return (int)syscall(SYS_setresuid, real, effective, saved);
}

int sys_setresgid(gid_t real, gid_t effective, gid_t saved)
{
	return (int)syscall(SYS_setresgid, real, effective, saved);
}

int sys_setgroups(size_t count, const gid_t *groups)
{
	return (int)syscall(SYS_setgroups, count, groups);
}

int sys_signal_default(int signal)
{
	/* The kernel's struct sigaction, all zero: SIG_DFL, no flags, an empty mask of 64. */
	static const uint64_t standard[4];

	return (int)syscall(SYS_rt_sigaction, signal, standard, NULL, sizeof(uint64_t));
}

int sys_pidfd_send_signal(int pidfd, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int sys_pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int sys_close_range(unsigned int first, unsigned int last)
{
	return (int)syscall(SYS_close_range, first, last, 0);
}

int sys_keyctl_new_session(void)
{
	return (int)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
}

int sys_ioprio_reset(void)
{
	return (int)syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 0);
}

int sys_prlimit(int resource, const struct rlimit *wanted, struct rlimit *found)
{
	return (int)syscall(SYS_prlimit64, 0, resource, wanted, found);
}

int sys_scheduler(void)
{
	return (int)syscall(SYS_sched_getscheduler, 0);
}

int sys_scheduler_other(void)
{
	struct sched_param plain = {0};

	return (int)syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &plain);
}

int sys_capset(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
	struct __user_cap_data_struct data[2] = {
	    {.effective = (uint32_t)permitted,
	     .permitted = (uint32_t)permitted,
	     .inheritable = (uint32_t)inheritable},
	    {.effective = (uint32_t)(permitted >> 32),
	     .permitted = (uint32_t)(permitted >> 32),
	     .inheritable = (uint32_t)(inheritable >> 32)},
	};

	return (int)syscall(SYS_capset, &header, data);
}

int sys_seccomp_filter(const void *filter, unsigned short length, unsigned int flags)
{
	struct sock_fprog program = {.len = length, .filter = (struct sock_filter *)(uintptr_t)filter};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int sys_seccomp_notify(int listener, unsigned long request, void *about)
{
	return (int)syscall(SYS_ioctl, listener, request, about);
}

int sys_landlock_create(const struct hb_landlock_ruleset *ruleset)
{
	return (int)syscall(SYS_landlock_create_ruleset, ruleset, sizeof(*ruleset), 0);
}

int sys_landlock_add(int ruleset, const struct hb_landlock_path *path)
{
	return (int)syscall(SYS_landlock_add_rule, ruleset, 1 /* PATH_BENEATH */, path, 0);
}

int sys_landlock_restrict(int ruleset)
{
	return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}
