/* System calls and constants that the C library of the build host may not know yet.
 *
 * Used by: supervisor.c, init.c and their steps. Thin, named as in the man pages,
 * -1 and errno like any other call. */
#ifndef HB_SYS_H
#define HB_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <linux/sched.h>

/* landlock.h of Linux 6.1 ends at ABI 2; these are the layouts of ABI 6 (landlock(7)). */
struct hb_landlock_ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct hb_landlock_path {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

pid_t sys_clone3(struct clone_args *args);
/* A child as of fork(2), by clone(2), which every filter allows, and this process's ids: without what a
 * C library does for threads, of which there are none. In the child
 * the C library remembers the parent's number: no raise(3) and no abort(3) there. */
pid_t sys_fork(void);
int sys_setresuid(uid_t real, uid_t effective, uid_t saved);
int sys_setresgid(gid_t real, gid_t effective, gid_t saved);
int sys_setgroups(size_t count, const gid_t *groups);
/* Not sigaction(3), which refuses the two signals that the C library keeps to itself and
 * that posix_spawn(3) leaves ignored. */
int sys_signal_default(int signal);
int sys_pidfd_send_signal(int pidfd, int signal);
int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t resolve);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_close_range(unsigned int first, unsigned int last);
int sys_keyctl_new_session(void);
int sys_ioprio_reset(void);
/* prlimit(2) of this process, whose number is an enum for one C library and an int for another. */
int sys_prlimit(int resource, const struct rlimit *wanted, struct rlimit *found);
/* sched_getscheduler(2) and sched_setscheduler(2) of this process; musl, which keeps to POSIX, refuses both. */
int sys_scheduler(void);
int sys_scheduler_other(void);
int sys_capset(uint64_t permitted, uint64_t inheritable);
int sys_seccomp_filter(const void *filter, unsigned short length, unsigned int flags);
/* ioctl(2), whose number is an int for one C library and a long for another. */
int sys_seccomp_notify(int listener, unsigned long request, void *about);
int sys_landlock_create(const struct hb_landlock_ruleset *ruleset);
int sys_landlock_add(int ruleset, const struct hb_landlock_path *path);
int sys_landlock_restrict(int ruleset);

#endif
