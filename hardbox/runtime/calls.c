/* System calls by their C names, each as its man page says.  Run by: hardbox, hardbox-launch. See start.c. */
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KERNEL_SET sizeof(uint64_t) /* what the kernel calls a set of signals */

static int number_of_last_error;

int *__errno_location(void)
{
	return &number_of_last_error;
}

long runtime_result(long value)
{
	if (value < 0 && value > -4096) {
		errno = (int)-value;
		return -1;
	}
	return value;
}

/* Arguments as the kernel takes them: registers. */
#define REGISTER(value) ((long)(value))
#define CALL6(type, number, a, b, c, d, e, f)                                                    \
	((type)runtime_result(runtime_call(number, REGISTER(a), REGISTER(b), REGISTER(c),        \
					   REGISTER(d), REGISTER(e), REGISTER(f))))
#define CALL5(type, number, a, b, c, d, e) CALL6(type, number, a, b, c, d, e, 0)
#define CALL4(type, number, a, b, c, d) CALL5(type, number, a, b, c, d, 0)
#define CALL3(type, number, a, b, c) CALL4(type, number, a, b, c, 0)
#define CALL2(type, number, a, b) CALL3(type, number, a, b, 0)
#define CALL1(type, number, a) CALL2(type, number, a, 0)
#define CALL0(type, number) CALL1(type, number, 0)

/* What is of variable length has at most `count` words more. */
#define WORDS(last, count)                                                                       \
	long word[count];                                                                        \
	va_list list;                                                                            \
	va_start(list, last);                                                                    \
	for (int i = 0; i < (count); i++)                                                        \
		word[i] = va_arg(list, long);                                                    \
	va_end(list)

long syscall(long call, ...)
{
	WORDS(call, 6);
	return CALL6(long, call, word[0], word[1], word[2], word[3], word[4], word[5]);
}

int prctl(int option, ...)
{
	WORDS(option, 4);
	return CALL5(int, SYS_prctl, option, word[0], word[1], word[2], word[3]);
}

int ioctl(int fd, unsigned long request, ...)
{
	WORDS(request, 1);
	return CALL3(int, SYS_ioctl, fd, request, word[0]);
}

int fcntl(int fd, int command, ...)
{
	WORDS(command, 1);
	return CALL3(int, SYS_fcntl, fd, command, word[0]);
}

int open(const char *path, int flags, ...)
{
	WORDS(flags, 1);
	return CALL4(int, SYS_openat, AT_FDCWD, path, flags, (mode_t)word[0]);
}

int openat(int directory, const char *path, int flags, ...)
{
	WORDS(flags, 1);
	return CALL4(int, SYS_openat, directory, path, flags, (mode_t)word[0]);
}

_Noreturn void _exit(int status)
{
	for (;;)
		(void)runtime_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

#define ONE(type, name, number, ta) type name(ta a) { return CALL1(type, number, a); }
#define TWO(type, name, number, ta, tb) type name(ta a, tb b) { return CALL2(type, number, a, b); }
#define THREE(type, name, number, ta, tb, tc)                                                    \
	type name(ta a, tb b, tc c) { return CALL3(type, number, a, b, c); }
#define FOUR(type, name, number, ta, tb, tc, td)                                                 \
	type name(ta a, tb b, tc c, td d) { return CALL4(type, number, a, b, c, d); }
#define FIVE(type, name, number, ta, tb, tc, td, te)                                             \
	type name(ta a, tb b, tc c, td d, te e) { return CALL5(type, number, a, b, c, d, e); }

/* Files. */
ONE(int, close, SYS_close, int)
THREE(ssize_t, read, SYS_read, int, void *, size_t)
THREE(ssize_t, write, SYS_write, int, const void *, size_t)
FOUR(ssize_t, pread, SYS_pread64, int, void *, size_t, off_t)
FOUR(ssize_t, pwrite, SYS_pwrite64, int, const void *, size_t, off_t)
THREE(off_t, lseek, SYS_lseek, int, off_t, int)
TWO(int, fstat, SYS_fstat, int, struct stat *)
TWO(int, fstatfs, SYS_fstatfs, int, struct statfs *)
TWO(int, access, SYS_access, const char *, int)
ONE(int, chdir, SYS_chdir, const char *)
ONE(int, fchdir, SYS_fchdir, int)
TWO(int, fchmod, SYS_fchmod, int, mode_t)
THREE(int, fchown, SYS_fchown, int, uid_t, gid_t)
TWO(int, flock, SYS_flock, int, int)
TWO(int, dup2, SYS_dup2, int, int)
THREE(int, mkdirat, SYS_mkdirat, int, const char *, mode_t)
THREE(int, unlinkat, SYS_unlinkat, int, const char *, int)
THREE(int, symlinkat, SYS_symlinkat, const char *, int, const char *)
ONE(mode_t, umask, SYS_umask, mode_t)
TWO(int, memfd_create, SYS_memfd_create, const char *, unsigned int)
THREE(ssize_t, getrandom, SYS_getrandom, void *, size_t, unsigned int)

int fstatat(int directory, const char *restrict path, struct stat *restrict found, int flags)
{
	return CALL4(int, SYS_newfstatat, directory, path, found, flags);
}

int stat(const char *restrict path, struct stat *restrict found)
{
	return fstatat(AT_FDCWD, path, found, 0);
}

int lstat(const char *restrict path, struct stat *restrict found)
{
	return fstatat(AT_FDCWD, path, found, AT_SYMLINK_NOFOLLOW);
}

ssize_t readlinkat(int directory, const char *restrict path, char *restrict bytes, size_t size)
{
	return CALL4(ssize_t, SYS_readlinkat, directory, path, bytes, size);
}

ssize_t readlink(const char *restrict path, char *restrict bytes, size_t size)
{
	return readlinkat(AT_FDCWD, path, bytes, size);
}

/* Without flags, as the calls of these numbers are. */
static int unflagged(int flags)
{
	errno = EINVAL;
	return flags == 0;
}

int faccessat(int directory, const char *path, int mode, int flags)
{
	return unflagged(flags) ? CALL3(int, SYS_faccessat, directory, path, mode) : -1;
}

int fchmodat(int directory, const char *path, mode_t mode, int flags)
{
	return unflagged(flags) ? CALL3(int, SYS_fchmodat, directory, path, mode) : -1;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return (void *)CALL6(uintptr_t, SYS_mmap, at, size, protection, flags, fd, offset);
}
TWO(int, munmap, SYS_munmap, void *, size_t)

/* Mounts. */
FIVE(int, mount, SYS_mount, const char *, const char *, const char *, unsigned long, const void *)
TWO(int, umount2, SYS_umount2, const char *, int)
TWO(int, fsopen, SYS_fsopen, const char *, unsigned int)
FIVE(int, fsconfig, SYS_fsconfig, int, unsigned int, const char *, const void *, int)
THREE(int, fsmount, SYS_fsmount, int, unsigned int, unsigned int)
FIVE(int, move_mount, SYS_move_mount, int, const char *, int, const char *, unsigned int)
THREE(int, open_tree, SYS_open_tree, int, const char *, unsigned int)
FIVE(int, mount_setattr, SYS_mount_setattr, int, const char *, unsigned int, struct mount_attr *, size_t)

/* Processes and what belongs to them. */
ONE(int, unshare, SYS_unshare, int)
TWO(int, setns, SYS_setns, int, int)
THREE(int, execve, SYS_execve, const char *, char *const *, char *const *)
FOUR(pid_t, wait4, SYS_wait4, pid_t, int *, int, struct rusage *)
THREE(pid_t, waitpid, SYS_wait4, pid_t, int *, int)
TWO(int, kill, SYS_kill, pid_t, int)
TWO(int, setgroups, SYS_setgroups, size_t, const gid_t *)
TWO(int, getgroups, SYS_getgroups, int, gid_t *)
THREE(int, setresuid, SYS_setresuid, uid_t, uid_t, uid_t)
THREE(int, setresgid, SYS_setresgid, gid_t, gid_t, gid_t)
TWO(int, sethostname, SYS_sethostname, const char *, size_t)
ONE(int, uname, SYS_uname, struct utsname *)
ONE(int, personality, SYS_personality, unsigned long)
ONE(int, sched_getscheduler, SYS_sched_getscheduler, pid_t)
THREE(int, sched_setscheduler, SYS_sched_setscheduler, pid_t, int, const struct sched_param *)
THREE(int, sched_setaffinity, SYS_sched_setaffinity, pid_t, size_t, const cpu_set_t *)
TWO(int, getrlimit, SYS_getrlimit, __rlimit_resource_t, struct rlimit *)
TWO(int, setrlimit, SYS_setrlimit, __rlimit_resource_t, const struct rlimit *)
THREE(int, setpriority, SYS_setpriority, __priority_which_t, id_t, int)

ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long locals,
			 const struct iovec *remote, unsigned long remotes, unsigned long flags)
{
	return CALL6(ssize_t, SYS_process_vm_readv, pid, local, locals, remote, remotes, flags);
}

pid_t getpid(void) { return CALL0(pid_t, SYS_getpid); }
pid_t getppid(void) { return CALL0(pid_t, SYS_getppid); }
pid_t getpgrp(void) { return CALL0(pid_t, SYS_getpgrp); }
pid_t setsid(void) { return CALL0(pid_t, SYS_setsid); }
uid_t getuid(void) { return CALL0(uid_t, SYS_getuid); }
uid_t geteuid(void) { return CALL0(uid_t, SYS_geteuid); }
gid_t getgid(void) { return CALL0(gid_t, SYS_getgid); }
gid_t getegid(void) { return CALL0(gid_t, SYS_getegid); }
int pause(void) { return CALL0(int, SYS_pause); }

/* As glibc does it: a filter that lets a program have processes knows clone(2). */
pid_t fork(void)
{
	return CALL5(pid_t, SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* The kernel counts upwards, so that it never gives a negative number. */
int getpriority(__priority_which_t which, id_t who)
{
	int given = CALL2(int, SYS_getpriority, which, who);

	return given < 0 ? -1 : 20 - given;
}

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	long got = CALL3(long, SYS_sched_getaffinity, pid, size, set);

	if (got < 0)
		return -1;
	memset((char *)set + got, 0, size - (size_t)got);
	return 0;
}

int sched_getcpu(void)
{
	unsigned int cpu;

	return CALL3(int, SYS_getcpu, &cpu, 0, 0) < 0 ? -1 : (int)cpu;
}

TWO(int, nanosleep, SYS_nanosleep, const struct timespec *, struct timespec *)
THREE(int, poll, SYS_poll, struct pollfd *, nfds_t, int)
TWO(int, eventfd, SYS_eventfd2, unsigned int, int)

/* Signals: only ignored, or as they are by default; no function of ours is ever called for one. */
__sighandler_t signal(int signal, __sighandler_t handler)
{
	struct {
		__sighandler_t handler;
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} new = {.handler = handler}, old = {0};

	if (handler != SIG_DFL && handler != SIG_IGN) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return CALL4(int, SYS_rt_sigaction, signal, &new, &old, KERNEL_SET) < 0 ? SIG_ERR : old.handler;
}

int raise(int signal)
{
	return CALL2(int, SYS_kill, getpid(), signal);
}

int sigemptyset(sigset_t *set)
{
	memset(set, 0, sizeof(*set));
	return 0;
}

/* Without the two that a C library keeps to itself, as there. */
int sigfillset(sigset_t *set)
{
	memset(set, 0, sizeof(*set));
	set->__val[0] = ~(3ul << 31);
	return 0;
}

int sigaddset(sigset_t *set, int signal)
{
	if (signal < 1 || signal >= _NSIG) {
		errno = EINVAL;
		return -1;
	}
	set->__val[0] |= 1ul << (signal - 1);
	return 0;
}

int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict old)
{
	if (old != NULL)
		memset(old, 0, sizeof(*old));
	return CALL4(int, SYS_rt_sigprocmask, how, set, old, KERNEL_SET);
}

int signalfd(int fd, const sigset_t *set, int flags)
{
	return CALL4(int, SYS_signalfd4, fd, set, KERNEL_SET, flags);
}

/* Sockets. */
THREE(int, socket, SYS_socket, int, int, int)
TWO(int, listen, SYS_listen, int, int)
TWO(int, shutdown, SYS_shutdown, int, int)
FIVE(int, setsockopt, SYS_setsockopt, int, int, int, const void *, socklen_t)
THREE(ssize_t, sendmsg, SYS_sendmsg, int, const struct msghdr *, int)
THREE(ssize_t, recvmsg, SYS_recvmsg, int, struct msghdr *, int)
FOUR(ssize_t, send, SYS_sendto, int, const void *, size_t, int)
FOUR(ssize_t, recv, SYS_recvfrom, int, void *, size_t, int)

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
	return CALL3(int, SYS_bind, fd, address.__sockaddr__, size);
}

int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
	return CALL3(int, SYS_getsockname, fd, address.__sockaddr__, size);
}

int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
	return CALL3(int, SYS_getpeername, fd, address.__sockaddr__, size);
}

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size)
{
	return CALL5(int, SYS_getsockopt, fd, level, option, value, size);
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, __CONST_SOCKADDR_ARG address,
	       socklen_t address_size)
{
	return CALL6(ssize_t, SYS_sendto, fd, bytes, size, flags, address.__sockaddr__, address_size);
}

int socketpair(int family, int type, int protocol, int pair[2])
{
	return CALL4(int, SYS_socketpair, family, type, protocol, pair);
}

int pipe2(int ends[2], int flags)
{
	return CALL2(int, SYS_pipe2, ends, flags);
}
