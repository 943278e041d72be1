/* The kernel's own price: six namespaces, one id map, /usr bound into an empty root, exec.
 * No filter, no capabilities dropped, nothing checked beyond failure: nobody should use it.
 *
 * Run by: bench/launch.py. usage: floor COMMAND ARG... */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sched.h>

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(125);
}

static void put(const char *path, const char *text, int length)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	check(fd >= 0 && write(fd, text, (size_t)length) == length && close(fd) == 0, path);
}

int main(int argc, char **argv)
{
	struct clone_args args = {
	    .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
	    .exit_signal = SIGCHLD,
	};
	unsigned int uid = geteuid() == 0 ? 0x70000000u : (unsigned int)geteuid();
	unsigned int gid = geteuid() == 0 ? 0x70000000u : (unsigned int)getegid();
	int go[2];
	char path[64];
	char text[64];
	char byte;
	int status;

	check(argc > 1 && pipe2(go, O_CLOEXEC) == 0, "usage: floor COMMAND ARG...");

	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	check(child >= 0, "clone3");
	if (child == 0) {
		check(read(go[0], &byte, 1) == 1, "read");
		check(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0, "setresuid");
		check(mount("none", "/proc", "tmpfs", 0, "size=1m") == 0 && chdir("/proc") == 0, "tmpfs");
		check(mkdir("usr", 0755) == 0, "mkdir");
		check(mount("/usr", "usr", NULL, MS_BIND | MS_REC, NULL) == 0, "bind");
		check(symlink("usr/lib", "lib") == 0 && symlink("usr/lib64", "lib64") == 0, "symlink");
		check(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0, "pivot_root");
		(void)execv(argv[1], argv + 1);
		check(0, argv[1]);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)child);
	if (geteuid() != 0)
		put(path, "deny", 4);
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)child);
	put(path, text, snprintf(text, sizeof(text), "1000 %u 1", gid));
	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)child);
	put(path, text, snprintf(text, sizeof(text), "1000 %u 1", uid));
	check(write(go[1], "x", 1) == 1 && waitpid(child, &status, 0) == child, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
