/* Attempts on files: read, write, list, create, execute what was dropped.
 *
 * Run by: main.c. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MOST_READ (1 << 16)
#define CHUNK (1 << 16)

static int open_flags(const char *text)
{
	int flags = 0;

	if (strstr(text, "rdwr") != NULL)
		flags |= O_RDWR;
	else if (strstr(text, "wr") != NULL)
		flags |= O_WRONLY;
	if (strstr(text, "path") != NULL)
		flags |= O_PATH;
	if (strstr(text, "creat") != NULL)
		flags |= O_CREAT | O_EXCL;
	if (strstr(text, "trunc") != NULL)
		flags |= O_TRUNC;
	if (strstr(text, "dir") != NULL)
		flags |= O_DIRECTORY;
	return flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
}

/* open PATH rd|wr|rdwr[,creat][,trunc][,path][,dir]: prints the device number */
static int try_open(int argc, char **argv)
{
	struct stat found;
	int file = open(argv[1], open_flags(argv[2]), 0644);

	(void)argc;
	if (file < 0 || fstat(file, &found) < 0)
		return errno;
	printf("rdev=%u:%u\n", major(found.st_rdev), minor(found.st_rdev));
	return 0;
}

/* create PATH: and take it away again */
static int try_create(int argc, char **argv)
{
	int fd = open(argv[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)argc;
	if (fd < 0)
		return errno;
	close(fd);
	return unlink(argv[1]) < 0 ? errno : 0;
}

/* read PATH: prints up to 64 KiB; an empty file is ENODATA, for masks */
static int try_read(int argc, char **argv)
{
	static char text[MOST_READ];
	int file = open(argv[1], O_RDONLY | O_NONBLOCK | O_NOCTTY);
	size_t length = 0;
	ssize_t got = 0;

	(void)argc;
	if (file < 0)
		return errno;
	while (length < sizeof(text) && (got = read(file, text + length, sizeof(text) - length)) > 0)
		length += (size_t)got;
	if (length == 0 && got < 0)
		return errno;
	fwrite(text, 1, length, stdout);
	return length == 0 ? ENODATA : 0;
}

/* write PATH TEXT: no create, no truncate */
static int try_write(int argc, char **argv)
{
	int file = open(argv[1], O_WRONLY | O_NONBLOCK | O_NOCTTY);

	(void)argc;
	if (file < 0)
		return errno;
	return write(file, argv[2], strlen(argv[2])) < 0 ? errno : 0;
}

/* list PATH: prints the names, one a line; an empty directory is ENODATA */
static int try_list(int argc, char **argv)
{
	DIR *directory = opendir(argv[1]);
	int seen = 0;

	(void)argc;
	if (directory == NULL)
		return errno;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		printf("%s\n", entry->d_name);
		seen++;
	}
	return seen > 0 ? 0 : ENODATA;
}

/* stat PATH: prints type, mode, owner, device numbers; symlinks are not followed */
static int try_stat(int argc, char **argv)
{
	struct stat found;

	(void)argc;
	if (lstat(argv[1], &found) < 0)
		return errno;
	printf("type=%o mode=%o uid=%u gid=%u rdev=%u:%u size=%lld\n", found.st_mode & S_IFMT,
	       found.st_mode & 07777, found.st_uid, found.st_gid, major(found.st_rdev),
	       minor(found.st_rdev), (long long)found.st_size);
	return 0;
}

/* symlink-read LINK TARGET: a link of the own making to a host path, then through it */
static int try_symlink_read(int argc, char **argv)
{
	char *read_arguments[] = { "read", argv[1], NULL };

	(void)argc;
	if (symlink(argv[2], argv[1]) < 0)
		return errno;
	return try_read(2, read_arguments);
}

/* symlink-write LINK TARGET TEXT */
static int try_symlink_write(int argc, char **argv)
{
	char *write_arguments[] = { "write", argv[1], argv[3], NULL };

	(void)argc;
	if (symlink(argv[2], argv[1]) < 0)
		return errno;
	return try_write(3, write_arguments);
}

/* mknod PATH c|b|p|s MAJOR MINOR, then open it */
static int try_mknod(int argc, char **argv)
{
	mode_t type = argv[2][0] == 'c' ? S_IFCHR : argv[2][0] == 'b' ? S_IFBLK : S_IFIFO;

	(void)argc;
	if (mknod(argv[1], type | 0666, makedev(number(argv[3]), number(argv[4]))) < 0)
		return errno;
	return open(argv[1], O_RDWR | O_NONBLOCK | O_NOCTTY) < 0 ? errno : 0;
}

static int copy(int from, int to)
{
	static char block[CHUNK];
	ssize_t got;

	while ((got = read(from, block, sizeof(block))) > 0)
		if (write(to, block, (size_t)got) != got)
			return -1;
	return got < 0 ? -1 : 0;
}

static int run_exec(const char *path)
{
	char *arguments[] = { "probe", "one", "hello", NULL };
	char *environment[] = { NULL };

	execve(path, arguments, environment);
	return errno;
}

/* exec PATH [ARG...]: the file is the probe itself, which then says hello, or takes the words */
static int try_exec(int argc, char **argv)
{
	char *environment[] = { NULL };

	if (argc == 2)
		return run_exec(argv[1]);
	execve(argv[1], argv + 1, environment);
	return errno;
}

static int try_hello(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("hello\n");
	return 0;
}

/* drop-exec DIRECTORY [map]: copy this program there and execute it, or map it executable */
static int try_drop_exec(int argc, char **argv)
{
	char path[4096];
	int from = open("/proc/self/exe", O_RDONLY);
	int to;

	snprintf(path, sizeof(path), "%s/dropped.%d", argv[1], getpid());
	if (from < 0)
		return errno;
	to = open(path, O_RDWR | O_CREAT | O_EXCL, 0755);
	if (to < 0 || copy(from, to) < 0)
		return errno;
	close(to);
	if (argc > 2) {
		to = open(path, O_RDONLY);
		if (to < 0)
			return errno;
		return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, to, 0) == MAP_FAILED ? errno :
												   0;
	}
	return run_exec(path);
}

/* memory-exec memfd|shm-tmpfile: execute a file that has no path */
static int try_memory_exec(int argc, char **argv)
{
	char *arguments[] = { "probe", "one", "hello", NULL };
	char *environment[] = { NULL };
	int from = open("/proc/self/exe", O_RDONLY);
	int to;

	(void)argc;
	if (from < 0)
		return errno;
	to = strcmp(argv[1], "memfd") == 0 ? (int)syscall(SYS_memfd_create, "x", 0)
					   : open(argv[1], O_TMPFILE | O_RDWR, 0755);
	if (to < 0 || copy(from, to) < 0)
		return errno;
	if (strcmp(argv[1], "memfd") != 0) {
		char path[64];

		/* A write descriptor would give ETXTBSY. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
		from = open(path, O_RDONLY);
		if (from < 0)
			return errno;
		close(to);
		to = from;
	}
	syscall(SYS_execveat, to, "", arguments, environment, AT_EMPTY_PATH);
	return errno;
}

/* set-id PATH chmod|fchmod|open|mknod: make an own file with the set-user-ID bit */
static int try_set_id(int argc, char **argv)
{
	int file = -1;

	(void)argc;
	if (strcmp(argv[2], "open") == 0)
		return open(argv[1], O_CREAT | O_EXCL | O_WRONLY, 04755) < 0 ? errno : 0;
	if (strcmp(argv[2], "mknod") == 0)
		return mknod(argv[1], S_IFREG | 04755, 0) < 0 ? errno : 0;
	file = open(argv[1], O_CREAT | O_EXCL | O_WRONLY, 0755);
	if (file < 0)
		return errno;
	if (strcmp(argv[2], "fchmod") == 0)
		return fchmod(file, 06755) < 0 ? errno : 0;
	if (strcmp(argv[2], "fchmodat2") == 0)
		return syscall(452, AT_FDCWD, argv[1], 04755, 0) < 0 ? errno : 0;
	return chmod(argv[1], 04755) < 0 ? errno : 0;
}

/* file-capability PATH: give an own file CAP_CHOWN */
static int try_file_capability(int argc, char **argv)
{
	uint32_t capability[5] = { 0x02000001, 1, 0, 0, 0 };
	int file = open(argv[1], O_CREAT | O_EXCL | O_WRONLY, 0755);

	(void)argc;
	if (file < 0)
		return errno;
	return fsetxattr(file, "security.capability", capability, sizeof(capability), 0) < 0 ? errno : 0;
}

/* fill DIRECTORY BYTES: writes until the file system refuses or BYTES are there */
static int try_fill(int argc, char **argv)
{
	static char block[CHUNK];
	char path[4096];
	unsigned long most = number(argv[2]);
	unsigned long total = 0;
	int result = 0;

	(void)argc;
	memset(block, 'x', sizeof(block));
	for (int file_number = 0; total < most && result == 0; file_number++) {
		int file;

		snprintf(path, sizeof(path), "%s/fill.%d", argv[1], file_number);
		file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
		if (file < 0) {
			result = errno;
			break;
		}
		for (int i = 0; i < 256 && total < most && result == 0; i++) {
			ssize_t done = write(file, block, sizeof(block));

			if (done < 0)
				result = errno;
			else
				total += (unsigned long)done;
		}
		close(file);
	}
	printf("bytes=%lu\n", total);
	return result;
}

/* files DIRECTORY COUNT: creates empty files until refused */
static int try_files(int argc, char **argv)
{
	char path[4096];
	unsigned long most = number(argv[2]);

	(void)argc;
	for (unsigned long i = 0; i < most; i++) {
		int file;

		snprintf(path, sizeof(path), "%s/n%lu", argv[1], i);
		file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
		if (file < 0) {
			int stopped = errno;

			printf("files=%lu\n", i);
			return stopped;
		}
		close(file);
	}
	return 0;
}

/* handle PATH: name_to_handle_at, then open_by_handle_at (the "shocker") */
static int try_handle(int argc, char **argv)
{
	union {
		struct file_handle head;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle;
	int mount = 0;
	int directory = open(argv[1], O_RDONLY | O_DIRECTORY);

	(void)argc;
	handle.head.handle_bytes = MAX_HANDLE_SZ;
	if (directory < 0)
		return errno;
	if (name_to_handle_at(AT_FDCWD, argv[1], &handle.head, &mount, 0) < 0) {
		/* Without the first call: guess inode 2, the root of ext4. */
		uint32_t root[2] = { 2, 0 };

		handle.head.handle_bytes = sizeof(root);
		handle.head.handle_type = 1;
		memcpy(handle.head.f_handle, root, sizeof(root));
	}
	return open_by_handle_at(directory, &handle.head, O_RDONLY) < 0 ? errno : 0;
}

const struct attempt file_attempts[] = {
	{ "open", 2, try_open },
	{ "create", 1, try_create },
	{ "read", 1, try_read },
	{ "write", 2, try_write },
	{ "list", 1, try_list },
	{ "stat", 1, try_stat },
	{ "symlink-read", 2, try_symlink_read },
	{ "symlink-write", 3, try_symlink_write },
	{ "mknod", 4, try_mknod },
	{ "exec", 1, try_exec },
	{ "hello", 0, try_hello },
	{ "drop-exec", 1, try_drop_exec },
	{ "memory-exec", 1, try_memory_exec },
	{ "set-id", 2, try_set_id },
	{ "file-capability", 1, try_file_capability },
	{ "fill", 2, try_fill },
	{ "files", 2, try_files },
	{ "handle", 1, try_handle },
	{ NULL, 0, NULL },
};
