/* Leases of host ids, id maps, and trees whose owner appears as the inside user; and what else
 * only the host side can write of init.
 *
 * Run by: the supervisor, on the host side. */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "newmount.h"
#include "sys.h"

#define MAP_TEXT_MAX 4096
#define MAP_ROWS_MAX 32

/* One lock file for the whole host, one byte for each range: the lock belongs to the open
 * file, which supervisor and init share, so it ends when the last of them does, however. */
int lease_take(const struct hb_plan *plan, struct hb_lease *lease, uint32_t *step)
{
	const struct hb_step *wanted = plan_find(plan, HB_ID_LEASE);

	*lease = (struct hb_lease){.fd = -1};
	if (wanted == NULL)
		return 0;
	*step = (uint32_t)(wanted - plan->steps) + 1;

	uint64_t first = wanted->field[1].number;
	uint64_t size = wanted->field[2].number;
	uint64_t count = wanted->field[3].number;

	if (first < 65536 || size == 0 || count == 0 || first + size * count > UINT32_MAX) {
		errno = ERANGE;
		return -1;
	}
	lease->fd = open(wanted->field[0].string, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lease->fd < 0)
		return -1;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t slot = ((uint64_t)getpid() + i) % count;
		struct flock lock = {
		    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)slot, .l_len = 1};

		if (fcntl(lease->fd, F_OFD_SETLK, &lock) == 0) {
			lease->base = (uint32_t)(first + slot * size);
			lease->size = (uint32_t)size;
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return -1;
	}
	errno = EBUSY;
	return -1;
}

static int host_id(const struct hb_lease *lease, uint64_t id, uint64_t count, int relative,
		   uint32_t *out)
{
	if (relative && (lease->fd < 0 || id + count > lease->size)) {
		errno = ERANGE;
		return -1;
	}
	*out = (uint32_t)id + (relative ? lease->base : 0u);
	return 0;
}

/* One id map, as the rows that uid_map and newuidmap both take. */
struct map {
	uint32_t row[MAP_ROWS_MAX][3];
	size_t count;
};

static int map_collect(const struct hb_plan *plan, const struct hb_lease *lease, enum hb_kind kind,
		       struct map *map, uint32_t *step)
{
	map->count = 0;
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct hb_field *field = plan->steps[i].field;

		if (plan->steps[i].kind != kind)
			continue;
		*step = i + 1;
		if (map->count == MAP_ROWS_MAX) {
			errno = E2BIG;
			return -1;
		}

		uint32_t *row = map->row[map->count++];

		row[0] = (uint32_t)field[0].number;
		row[2] = (uint32_t)field[2].number;
		if (host_id(lease, field[1].number, field[2].number, field[3].number != 0,
			    &row[1]) < 0)
			return -1;
		if (row[1] == 0) {
			errno = EPERM;
			return -1;
		}
	}
	return 0;
}

static int proc_open(pid_t pid, const char *name, int flags)
{
	char path[64];
	int length = snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);

	if (length < 0 || (size_t)length >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags | O_CLOEXEC);
}

static int proc_write(pid_t pid, const char *name, const char *text, size_t size)
{
	int fd = proc_open(pid, name, O_WRONLY);

	if (fd < 0)
		return -1;

	/* One write: the kernel takes an id map as a whole. */
	return closing(write(fd, text, size) == (ssize_t)size ? 0 : -1, fd);
}

static int map_write(pid_t pid, const char *name, const struct map *map)
{
	char text[MAP_TEXT_MAX];
	size_t used = 0;

	for (size_t i = 0; i < map->count; i++) {
		int length = snprintf(text + used, sizeof(text) - used, "%u %u %u\n",
				      map->row[i][0], map->row[i][1], map->row[i][2]);

		if (length < 0 || (size_t)length >= sizeof(text) - used) {
			errno = E2BIG;
			return -1;
		}
		used += (size_t)length;
	}
	return proc_write(pid, name, text, used);
}

/* newuidmap(1) PID inside outside count ...: set-user-ID helpers that check /etc/subuid. */
static int map_by_helper(pid_t pid, const char *helper, const struct map *map)
{
	char text[MAP_ROWS_MAX * 3 + 1][12];
	char *argv[MAP_ROWS_MAX * 3 + 3];
	char *envp[] = {NULL};
	posix_spawnattr_t attributes;
	sigset_t none;
	size_t count = 0;
	pid_t child = -1;
	int status;

	(void)snprintf(text[0], sizeof(text[0]), "%d", (int)pid);
	argv[0] = (char *)(uintptr_t)helper;
	argv[1] = text[0];
	for (size_t i = 0; i < map->count * 3; i++) {
		(void)snprintf(text[i + 1], sizeof(text[0]), "%u", map->row[i / 3][i % 3]);
		argv[i + 2] = text[i + 1];
		count = i + 1;
	}
	argv[count + 2] = NULL;
	if ((errno = posix_spawnattr_init(&attributes)) != 0)
		return -1;
	(void)sigemptyset(&none);
	errno = posix_spawnattr_setsigmask(&attributes, &none);
	if (errno == 0)
		errno = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (errno == 0)
		errno = posix_spawn(&child, helper, NULL, &attributes, argv, envp);

	int saved = errno;

	(void)posix_spawnattr_destroy(&attributes);
	errno = saved;
	if (errno != 0)
		return -1;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	errno = EPERM; /* it has said why on stderr */
	return -1;
}

/* The map of one kind: directly, or by the helper of that field of the MAP_HELPERS step. */
static int map_put(const struct hb_plan *plan, const struct hb_lease *lease, pid_t pid,
		   enum hb_kind kind, uint32_t *step)
{
	const struct hb_step *helpers = plan_find(plan, HB_MAP_HELPERS);
	int groups = kind == HB_MAP_GID;
	struct map map;

	if (map_collect(plan, lease, kind, &map, step) < 0)
		return -1;
	if (helpers != NULL) {
		*step = (uint32_t)(helpers - plan->steps) + 1;
		return map_by_helper(pid, helpers->field[groups ? 1 : 0].string, &map);
	}
	*step = (uint32_t)(plan_find(plan, kind) - plan->steps) + 1;
	/* Without privilege the kernel wants setgroups(2) given up before a gid is mapped
	 * (user_namespaces(7)). */
	if (groups && lease->fd < 0 && proc_write(pid, "setgroups", "deny", 4) < 0)
		return -1;
	return map_write(pid, groups ? "gid_map" : "uid_map", &map);
}

int maps_write(const struct hb_plan *plan, const struct hb_lease *lease, pid_t pid, uint32_t *step)
{
	return map_put(plan, lease, pid, HB_MAP_GID, step) < 0
		   ? -1
		   : map_put(plan, lease, pid, HB_MAP_UID, step);
}

int protection_lift(pid_t pid)
{
	char score;
	int fd = proc_open(pid, "oom_score_adj", O_RDWR);

	if (fd < 0)
		return -1;
	return closing(read(fd, &score, 1) == 1 && (score != '-' || pwrite(fd, "0", 1, 0) == 1) ? 0 : -1,
		       fd);
}

/* A user namespace that exists only to carry an id map: disk owner -> host id of the job. */
static int idmap_namespace(const uint32_t number[4])
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	struct map uids = {.row = {{number[0], number[1], 1}}, .count = 1};
	struct map gids = {.row = {{number[2], number[3], 1}}, .count = 1};
	pid_t parent = getpid();
	pid_t child = sys_clone3(&args);

	/* It must not outlive us, should we be killed right here. */
	if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent))
		_exit(0);
	if (child == 0)
		for (;;)
			(void)pause();
	if (child < 0)
		return -1;

	int fd = map_write(child, "gid_map", &gids) < 0 || map_write(child, "uid_map", &uids) < 0
		     ? -1
		     : proc_open(child, "ns/user", O_RDONLY);
	int saved = errno;

	(void)kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	errno = saved;
	return fd;
}

/* Make `map` the one that a TREE step asks for. 0, or -1 and errno. */
static int idmap_set(struct hb_idmap *map, const struct hb_step *step, const struct hb_lease *lease)
{
	uint32_t number[4] = {(uint32_t)step->field[2].number, 0, (uint32_t)step->field[3].number, 0};

	if (host_id(lease, step->field[4].number, 1, 1, &number[1]) < 0 ||
	    host_id(lease, step->field[5].number, 1, 1, &number[3]) < 0)
		return -1;
	if (map->fd >= 0 && memcmp(map->number, number, sizeof(number)) == 0)
		return 0;
	if (map->fd >= 0)
		(void)close(map->fd);
	memcpy(map->number, number, sizeof(number));
	map->fd = idmap_namespace(number);
	return map->fd < 0 ? -1 : 0;
}

int tree_open(const struct hb_step *step, const struct hb_lease *lease, struct hb_idmap *map)
{
	uint64_t flags = step->field[1].number;
	int recursive = (flags & HB_TREE_RECURSIVE) != 0;
	int source = open_source(step->field[0].string);
	int tree = source < 0 ? -1
			      : open_tree(source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
							  AT_EMPTY_PATH |
							  (recursive ? AT_RECURSIVE : 0u));
	int result = tree < 0 ? -1 : 0;

	if (result == 0 && (flags & HB_TREE_IDMAPPED) != 0) {
		struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP};

		result = idmap_set(map, step, lease);
		attributes.userns_fd = (uint64_t)(unsigned int)map->fd;
		if (result == 0)
			result = mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u),
					       &attributes, sizeof(attributes));
	}
	result = closing(result, source);
	return result < 0 ? closing(-1, tree) : tree;
}
