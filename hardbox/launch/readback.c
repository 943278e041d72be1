/* What was enforced is read back from /proc, not assumed: the files go to the caller as they
 * are, and are parsed there.
 *
 * Run by: the supervisor, when init exists and just before the job may exec. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_BACK_MAX 8192

static size_t read_file(const char *path, char *bytes, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;

	while (fd >= 0 && used < room) {
		ssize_t got = read(fd, bytes + used, room - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	if (fd >= 0)
		(void)close(fd);
	return used;
}

/* A file that cannot be read is handed on as empty, which the caller counts as not enforced. */
static void read_back(const struct launch *launch, pid_t pid, const char *name)
{
	char path[64];
	char head[32];
	char bytes[READ_BACK_MAX];
	int length = snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int head_length = snprintf(head, sizeof(head), "%s%s", pid == getpid() ? "host/" : "", name);
	size_t used;

	if (length < 0 || (size_t)length >= sizeof(path) || head_length < 0 ||
	    (size_t)head_length >= sizeof(head))
		return;
	if (strncmp(name, "ns/", 3) == 0) {
		ssize_t got = readlink(path, bytes, sizeof(bytes));

		used = got < 0 ? 0 : (size_t)got;
	} else {
		used = read_file(path, bytes, sizeof(bytes));
	}
	/* A caller that has gone is seen by the event loop, which then ends everything. */
	(void)record_write(launch->status_fd, HB_RECORD_READ, head, (size_t)head_length + 1, bytes,
			   used);
}

void read_back_namespaces(const struct launch *launch)
{
	static const char *const names[] = {"ns/user", "ns/mnt", "ns/pid",   "ns/net",
					    "ns/ipc",  "ns/uts", "ns/cgroup"};

	if (launch->status_fd < 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		read_back(launch, getpid(), names[i]);
		read_back(launch, launch->init, names[i]);
	}
}

void read_back_job(const struct launch *launch, pid_t pid)
{
	if (launch->status_fd < 0)
		return;
	read_back(launch, pid, "status");
	read_back(launch, pid, "uid_map");
	read_back(launch, pid, "gid_map");
}

void read_back_pid(const struct launch *launch, pid_t pid)
{
	uint64_t number = (uint64_t)pid;

	(void)record_write(launch->status_fd, HB_RECORD_READ, "pid", 4, &number, sizeof(number));
}
