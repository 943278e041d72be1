/* A seal is found by a key over the request and the host, and holds the plan's path and what
 * every file that the decision depended on looked like (hardbox/seals.py writes it):
 *
 *   magic[8] count:u32 zero:u32, then `count` rows of
 *   dev ino mode uid gid size mtime_ns ctime_ns (u64 each, all 0: missing) length:u32 path NUL
 *
 * The plan is the first row. Of directories only dev, ino, mode, uid and gid count, unless the path
 * ends in "/": then what they hold counts too, by their times. An absolute one of these is also where
 * the paths behind it begin that do not start with "/": ten directories need not be walked a hundred times.
 *
 * Run by: hardbox, for `run` without host paths, before Python. */
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../launch/sha256.h"

#define SEAL_MAGIC "HBXSEAL\x02"
#define SEAL_MAX (1u << 20)
#define ROW_NUMBERS 8
#define MATERIAL_MAX 65536
#define GROUPS_MAX 1024

struct material {
	unsigned char bytes[MATERIAL_MAX];
	size_t used;
	int full;
};

static void add(struct material *m, const void *bytes, size_t size)
{
	/* The length stands before each part, so that no two lists of parts look alike. */
	uint64_t length = size;

	if (size > sizeof(m->bytes) - m->used || sizeof(m->bytes) - m->used - size < sizeof(length)) {
		m->full = 1;
		return;
	}
	memcpy(m->bytes + m->used, &length, sizeof(length));
	memcpy(m->bytes + m->used + sizeof(length), bytes, size);
	m->used += sizeof(length) + size;
}

static void add_text(struct material *m, const char *text)
{
	add(m, text, strlen(text));
}

/* What decides by its words alone. Nothing that names a file here, asks for a report, a reason or a
 * message, or takes messages away: all of that goes to Python. */
static const struct plain_option {
	const char *name;
	int paths; /* its value may hold "/": what is meant lies inside, or is looked at by Python */
	int here;  /* its value may be a path that begins at the working directory */
} plain_options[] = {
	{"--profile", 0, 0}, {"--timeout", 0, 0},  {"--memory", 0, 0}, {"--tasks", 0, 0},   {"--network", 0, 0},
	{"--env", 1, 0},     {"--hostname", 0, 0}, {"--set", 1, 1},    {"--workdir", 1, 0},
};

/* The option that a word begins with, which may have its value behind "="; NULL if it is none. */
static const struct plain_option *plain_option(const char *word, const char **value)
{
	const char *equals = strchr(word, '=');
	size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);

	*value = equals == NULL ? NULL : equals + 1;
	for (size_t i = 0; i < sizeof(plain_options) / sizeof(plain_options[0]); i++)
		if (strlen(plain_options[i].name) == length &&
		    strncmp(plain_options[i].name, word, length) == 0)
			return &plain_options[i];
	return NULL;
}

/* Find where the command begins; 0 if the request is not of the plain kind. here: the working directory
 * may decide. */
static int find_command(int argc, char **argv, int *here)
{
	for (int i = 2; i < argc; i++) {
		const struct plain_option *option;
		const char *value;

		if (strcmp(argv[i], "--") == 0)
			return i + 1 < argc ? i + 1 : 0;
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			return i;
		option = plain_option(argv[i], &value);
		if (option == NULL || (value == NULL && ++i >= argc))
			return 0;
		*here |= option->here;
		if (!option->paths && strchr(value == NULL ? argv[i] : value, '/') != NULL)
			return 0;
	}
	return 0;
}

/* Add what a file of /proc says; 0 if it cannot be read or is too long. */
static int add_file(struct material *m, const char *path)
{
	static char text[MATERIAL_MAX / 2];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0 && used < sizeof(text)) {
		got = read(fd, text + used, sizeof(text) - used);
		used += got > 0 ? (size_t)got : 0;
	}
	if (fd >= 0)
		(void)close(fd);
	add(m, text, used);
	return got == 0 && used > 0;
}

/* Everything that the decision rests on beside files: the words, who asks, which kernel. */
static int make_key(char key[HB_SEAL_HEX], int command, char **argv, int here)
{
	static struct material m;
	unsigned char digest[32];
	gid_t groups[GROUPS_MAX];
	int count = getgroups(GROUPS_MAX, groups);
	uint64_t ids[2] = {geteuid(), getegid()};
	struct utsname host;
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program));

	if (count < 0 || uname(&host) < 0 || length <= 0 || (size_t)length == sizeof(program))
		return 0;
	/* Another installation has other profiles, and its own opinion. */
	add_text(&m, HB_VERSION);
	add(&m, program, (size_t)length);
	add(&m, ids, sizeof(ids));
	add(&m, groups, (size_t)count * sizeof(groups[0]));
	add_text(&m, host.release);
	add_text(&m, host.version);
	add_text(&m, host.machine);
	/* Which boot this is, what is mounted where, and the cgroup that the job's is made in. */
	if (!add_file(&m, "/proc/sys/kernel/random/boot_id") || !add_file(&m, "/proc/self/mountinfo") ||
	    !add_file(&m, "/proc/self/cgroup"))
		return 0;
	if (here && getcwd(program, sizeof(program)) == NULL)
		return 0;
	add_text(&m, here ? program : "");
	for (int i = 1; i < command; i++)
		add_text(&m, argv[i]);
	if (m.full)
		return 0;
	sha256(m.bytes, m.used, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(key + 2 * i, 3, "%02x", digest[i]);
	return 1;
}

/* The same folder as hardbox/cache.py's. */
static int cache_folder(char *path, size_t size)
{
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int length = -1;

	if (geteuid() == 0)
		length = snprintf(path, size, "/var/cache/hardbox");
	else if (cache != NULL && cache[0] == '/')
		length = snprintf(path, size, "%s/hardbox", cache);
	else if (home != NULL && home[0] == '/')
		length = snprintf(path, size, "%s/.cache/hardbox", home);
	return length > 0 && (size_t)length < size;
}

static int only_ours(int fd, mode_t type)
{
	struct stat found;

	return fd >= 0 && fstat(fd, &found) == 0 && (found.st_mode & S_IFMT) == type &&
	       found.st_uid == geteuid() && (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static size_t read_seal(const char *key, unsigned char **bytes)
{
	char path[PATH_MAX];
	char name[HB_SEAL_HEX + 8];
	ssize_t got = -1;

	if (!cache_folder(path, sizeof(path)))
		return 0;
	(void)snprintf(name, sizeof(name), "%s.seal", key);

	int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int file = only_ours(folder, S_IFDIR)
		       ? openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
		       : -1;

	if (only_ours(file, S_IFREG) && (*bytes = malloc(SEAL_MAX)) != NULL)
		got = read(file, *bytes, SEAL_MAX);
	if (file >= 0)
		(void)close(file);
	if (folder >= 0)
		(void)close(folder);
	return got > 0 && got < (ssize_t)SEAL_MAX ? (size_t)got : 0;
}

static uint64_t nanoseconds(struct timespec time)
{
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Whether a path still looks as the row says. base: where it begins if it is relative. */
static int as_it_was(int base, const char *path, const uint64_t row[ROW_NUMBERS])
{
	static const uint64_t missing[ROW_NUMBERS];
	struct stat now;

	if (fstatat(base, path, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && memcmp(row, missing, sizeof(missing)) == 0;

	uint64_t is[ROW_NUMBERS] = {now.st_dev, now.st_ino, now.st_mode, now.st_uid, now.st_gid,
				    (uint64_t)now.st_size, nanoseconds(now.st_mtim),
				    nanoseconds(now.st_ctim)};
	/* That it is the same directory decides; what it holds only where that is asked for. */
	size_t count = S_ISDIR(now.st_mode) && path[strlen(path) - 1] != '/' ? 5 : ROW_NUMBERS;

	return memcmp(is, row, count * sizeof(is[0])) == 0;
}

struct cursor {
	const unsigned char *at;
	size_t left;
	int base; /* the directory of relative paths, -1: none yet */
};

/* Check the next row; gives its path, or NULL. */
static const char *check_row(struct cursor *c)
{
	uint64_t row[ROW_NUMBERS];
	uint32_t length;

	if (c->left < sizeof(row) + sizeof(length))
		return NULL;
	memcpy(row, c->at, sizeof(row));
	memcpy(&length, c->at + sizeof(row), sizeof(length));
	c->at += sizeof(row) + sizeof(length);
	c->left -= sizeof(row) + sizeof(length);

	const char *path = (const char *)c->at;

	if (length == 0 || length >= c->left || memchr(path, 0, (size_t)length + 1) != path + length)
		return NULL;
	c->at += (size_t)length + 1;
	c->left -= (size_t)length + 1;
	if (path[0] == '/' && path[length - 1] == '/') {
		if (c->base >= 0)
			(void)close(c->base);
		/* Looked at through the descriptor: it is this very one that the others begin at. */
		c->base = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return c->base >= 0 && as_it_was(c->base, "./", row) ? path : NULL;
	}
	if (path[0] != '/' && c->base < 0)
		return NULL;
	return as_it_was(c->base, path, row) ? path : NULL;
}

/* Check every row; gives the path of the first one, the plan, or NULL. */
static const char *check_rows(const unsigned char *bytes, size_t size)
{
	struct cursor c = {bytes + 16, size - 16, -1};
	const char *plan = NULL;
	uint32_t count;

	if (size < 16 || memcmp(bytes, SEAL_MAGIC, 8) != 0)
		return NULL;
	memcpy(&count, bytes + 8, sizeof(count));
	for (uint32_t i = 0; i < count; i++) {
		const char *path = check_row(&c);

		if (i == 0)
			plan = path;
		if (path == NULL)
			break;
		if (i == count - 1 && c.left == 0) {
			(void)close(c.base);
			return plan;
		}
	}
	if (c.base >= 0)
		(void)close(c.base);
	return NULL;
}

void seal_find(struct hb_seal *seal, int argc, char **argv)
{
	unsigned char *bytes = NULL;

	*seal = (struct hb_seal){0};
	if (getenv("HARDBOX_NO_CACHE") != NULL || argc < 3 || strcmp(argv[1], "run") != 0)
		return;

	int here = 0;

	seal->command = find_command(argc, argv, &here);
	if (seal->command == 0 || !make_key(seal->key, seal->command, argv, here)) {
		seal->key[0] = '\0';
		return;
	}

	size_t size = read_seal(seal->key, &bytes);
	const char *plan = size == 0 ? NULL : check_rows(bytes, size);

	if (plan != NULL && strlen(plan) < sizeof(seal->plan))
		memcpy(seal->plan, plan, strlen(plan) + 1);
	free(bytes);
}
