/* Looks at a call that names a file, an address, a process or an id, and keeps what it can tell of
 * why the kernel will refuse it. The kernel then does the call as if nobody had looked.
 *
 * This decides nothing, and must not: what is read from the job's memory may be something else by
 * the time the kernel reads it. The walls are the mount namespace, the network namespace,
 * Landlock and the lack of capabilities, which stand with and without this file.
 *
 * Run by: the supervisor, for each such call, with --explain only. */
#include "observe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "calls.h"
#include "io.h"
#include "missing.h"
#include "special.h"
#include "sys.h"
#include "tasks.h"

#define PAGE 4096u

enum kind { OPEN = 1, EXEC, LOOK, CHANGE, OWNER, PLACE, ADDRESS, BIND, SIGNAL, ID, IDS, FORK };

struct call_row {
	int number;
	enum kind kind;
	unsigned int directory, path, more;
};

static const struct call_row call_rows[] = {
#define ROW(name, kind, directory, path, more) {SYS_##name, kind, directory, path, more},
    HB_CALLS(ROW)
#ifdef SYS_open
	HB_OLD_CALLS(ROW)
#endif
#undef ROW
};

static int root = -1; /* of the job; it never changes: chroot(2) and pivot_root(2) are refused */

static const struct call_row *call_row(int number)
{
	for (size_t i = 0; i < sizeof(call_rows) / sizeof(call_rows[0]); i++)
		if (call_rows[i].number == number)
			return &call_rows[i];
	return NULL;
}

int observe_root(void)
{
	return root;
}

static int open_root(const struct seccomp_notif *call)
{
	char path[32];

	if (root < 0 && snprintf(path, sizeof(path), "/proc/%u/root", call->pid) > 0)
		root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root;
}

/* What a call looks for by a name that it may have in other places too. A shell looks for its
 * commands by stat(2). */
static enum hb_sought sought(enum kind kind, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);
	int bin = (length >= 4 && memcmp(slash - 4, "/bin", 4) == 0) ||
		  (length >= 5 && memcmp(slash - 5, "/sbin", 5) == 0);

	if (kind == OPEN)
		return HB_SOUGHT_LIBRARY;
	return kind == EXEC || (kind == LOOK && bin) ? HB_SOUGHT_PROGRAM : HB_SOUGHT_NOTHING;
}

/* Copy up to `size` bytes of a thread's memory, page by page: what follows a text may be missing.
 * Gives how many; 0 and errno for a text whose end was not reached, errno 0 if there was no room. */
static size_t read_memory(uint32_t pid, uint64_t from, char *bytes, size_t size, int text)
{
	size_t used = 0;

	errno = 0; /* a text that has no end is no error of a call's */
	while (used < size) {
		size_t room = PAGE - (size_t)((from + used) % PAGE);
		struct iovec local = {bytes + used, room < size - used ? room : size - used};
		struct iovec remote = {(void *)(uintptr_t)(from + used), local.iov_len};
		ssize_t got = process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0);

		if (got <= 0)
			break;
		if (text && memchr(bytes + used, 0, (size_t)got) != NULL)
			return used + (size_t)got;
		used += (size_t)got;
	}
	return text ? 0 : used;
}

/* Where a relative path of the thread counts from, as it is called inside; 0 if nobody can say. */
static size_t base_of(const struct seccomp_notif *call, const struct call_row *row, char *room,
		      size_t size)
{
	char link[64];
	int directory = row->directory == NONE ? AT_FDCWD : (int)call->data.args[row->directory];
	int length = directory == AT_FDCWD
			 ? snprintf(link, sizeof(link), "/proc/%u/cwd", call->pid)
			 : snprintf(link, sizeof(link), "/proc/%u/fd/%d", call->pid, directory);
	ssize_t got = length < 0 ? -1 : readlink(link, room, size);

	return got <= 0 || (size_t)got >= size || room[0] != '/' ? 0 : (size_t)got;
}

/* The absolute path that a call names, as it is called inside. 1, or 0 if it is not to be told. */
static int path_of(const struct seccomp_notif *call, const struct call_row *row, char path[2 * PATH_MAX],
		   struct hb_seen *seen)
{
	char named[PATH_MAX];
	size_t base = 0;

	if (read_memory(call->pid, call->data.args[row->path], named, sizeof(named), 1) == 0) {
		seen->bits |= HB_SEEN_UNREADABLE;
		return call->data.args[row->path] != 0 && errno == EPERM;
	}
	if (named[0] == '\0')
		return 0;
	if (named[0] != '/') {
		base = base_of(call, row, path, PATH_MAX);
		if (base == 0)
			return 0;
		path[base++] = '/';
	}
	memcpy(path + base, named, strlen(named) + 1);
	return 1;
}

int observe_find(const char *path)
{
	return sys_openat2(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* Note what was found: its mode, owner and mount; and close it. */
static void note(int found, struct hb_seen *seen)
{
	struct stat file;
	struct statvfs mount;

	if (fstat(found, &file) == 0) {
		seen->mode = file.st_mode;
		seen->uid = file.st_uid;
		seen->gid = file.st_gid;
	}
	if (fstatvfs(found, &mount) == 0)
		seen->bits |= ((mount.f_flag & ST_RDONLY) != 0 ? HB_SEEN_READ_ONLY : 0) |
			      ((mount.f_flag & ST_NOEXEC) != 0 ? HB_SEEN_NOEXEC : 0);
	(void)close(found);
}

/* Whether the mode lets a thread do what `wanted` (4 read, 2 write, 1 execute) says. Its ids are
 * those of its /proc directory; other groups of an ordinary caller's are not looked at. */
static int mode_allows(uint32_t pid, const struct hb_seen *seen, uint32_t wanted)
{
	char path[32];
	struct stat who;
	int length = snprintf(path, sizeof(path), "/proc/%u", pid);

	if (length < 0 || stat(path, &who) < 0)
		return 1;
	if (seen->uid == who.st_uid)
		return (seen->mode >> 6 & wanted) == wanted;
	if (seen->gid == who.st_gid)
		return (seen->mode >> 3 & wanted) == wanted;
	return (seen->mode & wanted) == wanted;
}

/* What the kernel will say of an existing file. */
static uint32_t judge(const struct seccomp_notif *call, enum kind kind, const struct hb_seen *seen)
{
	int writes = kind == CHANGE || (kind == OPEN && (seen->flags & (O_WRONLY | O_RDWR)) != 0);
	int device = S_ISCHR(seen->mode) || S_ISFIFO(seen->mode) || S_ISSOCK(seen->mode);

	if (writes && !device && (seen->bits & HB_SEEN_READ_ONLY) != 0)
		return EROFS;
	if (kind == EXEC && (seen->bits & HB_SEEN_NOEXEC) != 0)
		return EACCES;
	if (kind == EXEC)
		return mode_allows(call->pid, seen, 1) ? 0 : EACCES;
	if (kind == OPEN && (seen->flags & O_PATH) == 0) {
		uint32_t wanted = (seen->flags & O_ACCMODE) == O_WRONLY ? 2 : writes ? 6 : 4;

		return mode_allows(call->pid, seen, wanted) ? 0 : EACCES;
	}
	return 0;
}

/* A name that is to appear or go: its directory decides. */
static uint32_t judge_place(const struct seccomp_notif *call, char *path, struct hb_seen *seen)
{
	char *slash = strrchr(path, '/');
	char keep = '\0';
	int found;

	while (slash > path && slash[1] == '\0') {
		*slash = '\0';
		slash = strrchr(path, '/');
	}
	keep = slash[1];
	slash[1] = '\0';
	found = observe_find(path);
	slash[1] = keep;
	if (found < 0)
		return (uint32_t)errno;
	note(found, seen);
	if ((seen->bits & HB_SEEN_READ_ONLY) != 0)
		return EROFS;
	return mode_allows(call->pid, seen, 3) ? 0 : EACCES;
}

static void set_text(struct hb_seen *seen, const char *text)
{
	size_t length = strlen(text);

	if (length >= sizeof(seen->text)) {
		length = sizeof(seen->text) - 1;
		seen->bits |= HB_SEEN_CUT;
	}
	memcpy(seen->text, text, length);
	seen->text[length] = '\0';
}

static int observe_path(const struct seccomp_notif *call, const struct call_row *row, char *path,
			struct hb_seen *seen)
{
	int found;

	/* What is called self there is another one for us; magic links lead out of every root. */
	if (is_special(path))
		return 0;
	set_text(seen, path);
	if (row->kind == PLACE) {
		seen->error = judge_place(call, path, seen);
		return seen->error != 0;
	}
	found = observe_find(path);
	if (found < 0 && errno == ENOENT && row->kind == OPEN && (seen->flags & O_CREAT) != 0) {
		seen->error = judge_place(call, path, seen);
		return seen->error != 0;
	}
	if (found < 0) {
		seen->error = (uint32_t)errno;
		return errno != ELOOP;
	}
	if (is_proc(found)) {
		(void)close(found);
		return 0;
	}
	note(found, seen);
	seen->error = row->kind == OWNER ? EPERM : judge(call, row->kind, seen);
	return seen->error != 0;
}

static int observe_address(const struct seccomp_notif *call, const struct call_row *row,
			   struct hb_seen *seen)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		char bytes[sizeof(struct sockaddr_un) + 1];
	} address = {0};
	size_t size = call->data.args[row->more] & UINT32_MAX;
	char path[2 * PATH_MAX];

	if (call->data.args[row->path] == 0 || size < sizeof(address.any.sa_family))
		return 0;
	if (size > sizeof(address.un))
		size = sizeof(address.un);
	if (read_memory(call->pid, call->data.args[row->path], address.bytes, size, 0) != size)
		return 0;
	seen->flags = address.any.sa_family;
	if (address.any.sa_family == AF_INET) {
		seen->port = ntohs(address.in.sin_port);
		(void)inet_ntop(AF_INET, &address.in.sin_addr, seen->text, sizeof(seen->text));
	} else if (address.any.sa_family == AF_INET6) {
		seen->port = ntohs(address.in6.sin6_port);
		(void)inet_ntop(AF_INET6, &address.in6.sin6_addr, seen->text, sizeof(seen->text));
	} else if (address.any.sa_family == AF_UNIX && address.un.sun_path[0] == '/' && row->kind == ADDRESS) {
		struct call_row lookup = {row->number, LOOK, NONE, NONE, NONE};

		(void)snprintf(path, sizeof(path), "%s", address.un.sun_path);
		return observe_path(call, &lookup, path, seen);
	} else {
		return 0;
	}
	if (row->kind == BIND) {
		seen->error = EACCES;
		return seen->port > 0 && seen->port < IPPORT_RESERVED;
	}
	seen->error = ENETUNREACH;
	return seen->port != 0;
}

static int observe_signal(const struct seccomp_notif *call, struct hb_seen *seen)
{
	int to = (int)call->data.args[0];
	char path[32];
	int found;

	if (to <= 0 || snprintf(path, sizeof(path), "/proc/%d", to) < 0)
		return 0;
	found = observe_find(path);
	if (found >= 0) {
		(void)close(found);
		return 0;
	}
	seen->error = ESRCH;
	(void)snprintf(seen->text, sizeof(seen->text), "%d", to);
	return errno == ENOENT;
}

enum hb_sought observe_sought(const struct hb_seen *seen)
{
	const struct call_row *row = call_row((int)seen->number);

	return row == NULL ? HB_SOUGHT_NOTHING : sought(row->kind, seen->text);
}

int observe(const struct launch *launch, const struct seccomp_notif *call, struct hb_seen *seen)
{
	const struct call_row *row = call_row(call->data.nr);
	char path[2 * PATH_MAX];
	int worth = 0;

	path[0] = '\0';
	*seen = (struct hb_seen){.number = (uint32_t)call->data.nr, .count = 1};
	if (row == NULL || (row->kind != FORK && open_root(call) < 0))
		return 0;
	if (row->more != NONE && row->kind != ADDRESS && row->kind != BIND)
		seen->flags = (uint32_t)call->data.args[row->more];
	else if (row->kind == OPEN)
		seen->flags = O_WRONLY | O_CREAT | O_TRUNC; /* creat(2) */
	if (row->kind == OWNER || row->kind == IDS)
		seen->port = (uint32_t)call->data.args[row->more + 1];
	if (row->kind == FORK)
		worth = tasks_observe(launch, call, seen);
	else if (row->kind == SIGNAL)
		worth = observe_signal(call, seen);
	else if (row->kind == ID || row->kind == IDS) {
		seen->error = EPERM;
		worth = 1;
	} else if (row->kind == ADDRESS || row->kind == BIND)
		worth = observe_address(call, row, seen);
	else if (path_of(call, row, path, seen))
		worth = (seen->bits & HB_SEEN_UNREADABLE) != 0 || observe_path(call, row, path, seen);
	if (worth)
		comm_of(launch->listener, call, seen->comm);
	if (seen->text[0] == '/' && seen->error != ENOENT && seen->error != ENOTDIR)
		missing_found(launch->listener, call, seen->text, sought(row->kind, seen->text));
	/* Another process may have its number by now: what was read is then not the job's. */
	return worth && ioctl(launch->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0;
}
