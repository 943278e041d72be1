/* Prints what a C library says to many questions: built with hardbox/runtime/ and with the C library, it
 * must print the same.
 *
 * Run by: tests/unit/test_runtime.py. usage: runtime_words PATH... */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void say_bytes(const char *what, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	(void)fprintf(stderr, "%s", what);
	for (size_t i = 0; i < size; i++)
		(void)fprintf(stderr, " %02x", at[i]);
	(void)fprintf(stderr, "\n");
}

static void memory(void)
{
	for (size_t from = 0; from < 12; from++)
		for (size_t to = 0; to < 12; to++) {
			char bytes[25] = "abcdefghijklmnopqrstuvwx";

			memmove(bytes + to, bytes + from, 9);
			say_bytes("memmove", bytes, sizeof(bytes));
			memset(bytes + to, (int)from + 500, from);
			memcpy(bytes + 12, bytes, to);
			say_bytes("memset, memcpy", bytes, sizeof(bytes));
		}
	(void)fprintf(stderr, "%d %d %d %d\n", memcmp("a\200", "a\1", 2) > 0, memcmp("ab", "ac", 2) < 0,
		      memcmp("ab", "ac", 1), memchr("abc", 'd', 3) == NULL);

	unsigned char *zero = calloc(1000, 7);
	char *large = realloc(memcpy(malloc(8), "kept", 5), 300000);
	int all = 0;

	for (size_t i = 0; i < 7000; i++)
		all |= zero[i];
	large[299999] = 'x';
	large = realloc(large, 3000000);
	(void)fprintf(stderr, "calloc %d realloc %.4s %c\n", all, large, large[299999]);
	free(large);
	free(zero);
	free(NULL);
	zero = calloc(SIZE_MAX / 2, 3);
	(void)fprintf(stderr, "too much %d %s\n", zero == NULL, strerror(errno));
}

static void texts(void)
{
	static const char *const text[] = {"", "a", "/", "/usr/lib/x.so", "abcabcabd", "no\tmatch", "\303\244/\200"};
	static const char *const sought[] = {"", "a", "/", "abd", ".so", "\200", "/x"};

	for (size_t i = 0; i < COUNT(text); i++)
		for (size_t k = 0; k < COUNT(sought); k++) {
			const char *in = strstr(text[i], sought[k]);
			const char *first = strchr(text[i], sought[k][0]);
			const char *last = strrchr(text[i], sought[k][0]);
			int order = strcmp(text[i], sought[k]);
			int begins = strncmp(text[i], sought[k], strlen(sought[k]));

			(void)fprintf(stderr, "%s|%s: %d %d %d %zu %zu %d %d\n", text[i], sought[k],
				      in == NULL ? -1 : (int)(in - text[i]),
				      first == NULL ? -1 : (int)(first - text[i]),
				      last == NULL ? -1 : (int)(last - text[i]), strspn(text[i], sought[k]),
				      strcspn(text[i], sought[k]), (order > 0) - (order < 0),
				      (begins > 0) - (begins < 0));
		}
}

static void numbers(void)
{
	static const char *const text[] = {"0", "12", "-12", " +7x", "", "x", "9223372036854775807",
					   "9223372036854775808", "18446744073709551615", "99999999999999999999"};

	for (size_t i = 0; i < COUNT(text); i++) {
		char *end;

		errno = 0;
		(void)fprintf(stderr, "%s: %ld", text[i], strtol(text[i], &end, 10));
		(void)fprintf(stderr, " %d %d", (int)(end - text[i]), errno);
		errno = 0;
		(void)fprintf(stderr, " %llu %d\n", strtoull(text[i], &end, 10), errno);
	}
	(void)fprintf(stderr, "%d %u %5d|%05u|%x|%02x|%o|%04o|%016llx|%llu|%lu|%zu|%c|%s|%.2s|%.20s|%%|%.1f|%.1f|%.1f\n",
		      INT_MIN, UINT_MAX, 42, 42u, 0xbeefu, 7u, 0755u, 0u, 0xfedcba987654321ull, ULLONG_MAX, ULONG_MAX,
		      (size_t)3, 'c', "text", "text", "text", 0.0, 12.34, 299.96);

	char room[8];
	int wanted = snprintf(room, sizeof(room), "%s", "much too long");

	(void)fprintf(stderr, "%d %s\n", wanted, room);
	for (int error = -1; error < 140; error++)
		(void)fprintf(stderr, "%d %s\n", error, strerror(error));
}

static void addresses(void)
{
	for (unsigned int kind = 0; kind < 1024; kind++) {
		unsigned char bytes[16] = {0};
		char text[INET6_ADDRSTRLEN];

		for (unsigned int i = 0; i < 8; i++)
			if ((kind >> i & 1) != 0) {
				bytes[2 * i] = (unsigned char)(kind > 511 ? 255 : i);
				bytes[2 * i + 1] = (unsigned char)(kind > 255 ? 255 : 1);
			}
		(void)fprintf(stderr, "%s\n", inet_ntop(AF_INET6, bytes, text, sizeof(text)));
		(void)fprintf(stderr, "%s\n", inet_ntop(AF_INET, bytes + 2, text, sizeof(text)));
	}
}

static void files(int count, char **path)
{
	for (int i = 0; i < count; i++) {
		char room[PATH_MAX];
		struct stat found;

		errno = 0;
		const char *real = realpath(path[i], room);

		(void)fprintf(stderr, "%s: %s %s\n", path[i], real == NULL ? "-" : real, real == NULL ? strerror(errno) : "");
		errno = 0;
		(void)fprintf(stderr, "stat %d", lstat(path[i], &found));
		(void)fprintf(stderr, " %d", errno);
		if (errno == 0)
			(void)fprintf(stderr, " %o %llu %llu", found.st_mode, (unsigned long long)found.st_ino,
				      (unsigned long long)found.st_size);
		errno = 0;
		(void)fprintf(stderr, " access %d", access(path[i], X_OK));
		(void)fprintf(stderr, " %d\n", errno);

		int fd = open(path[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *list = fd < 0 ? NULL : fdopendir(fd);
		const struct dirent *entry;
		struct statvfs mount;

		while (list != NULL && (entry = readdir(list)) != NULL)
			(void)fprintf(stderr, "  %s %d\n", entry->d_name, entry->d_type);
		if (list != NULL)
			(void)fprintf(stderr, "flags %lx\n", fstatvfs(fd, &mount) < 0 ? 0 : mount.f_flag);
		if (list != NULL)
			(void)closedir(list);
	}
}

static void processes(void)
{
	char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			(char *)(uintptr_t) "grep SigBlk /proc/self/status >&2; exit 3", NULL};
	char *envp[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
	posix_spawnattr_t attributes;
	sigset_t set;
	sigset_t before;
	pid_t pid = -1;
	int status = 0;

	(void)sigfillset(&set);
	(void)sigprocmask(SIG_SETMASK, &set, &before);
	(void)sigprocmask(SIG_BLOCK, NULL, &set);
	say_bytes("blocked", &set, 8);
	(void)posix_spawnattr_init(&attributes);
	for (int with = 0; with < 2; with++) {
		(void)posix_spawnattr_setsigmask(&attributes, &before);
		(void)posix_spawnattr_setflags(&attributes, with ? POSIX_SPAWN_SETSIGMASK : 0);
		(void)fprintf(stderr, "spawn %d", posix_spawn(&pid, "/bin/sh", NULL, &attributes, argv, envp));
		(void)waitpid(pid, &status, 0);
		(void)fprintf(stderr, " %d\n", status);
	}
	(void)fprintf(stderr, "spawn %d\n", posix_spawn(&pid, "/nowhere", NULL, NULL, argv, envp));
	(void)posix_spawnattr_destroy(&attributes);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGTERM, SIG_DFL);
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		(void)raise(SIGTERM);
	}
	(void)waitpid(pid, &status, 0);
	(void)fprintf(stderr, "killed %d\n", status);
	(void)fprintf(stderr, "%d %ld %ld\n", getpriority(PRIO_PROCESS, 0), sysconf(_SC_CLK_TCK),
		      sysconf(_SC_PAGESIZE));
	(void)fprintf(stderr, "%s", getenv("KEPT"));
	(void)unsetenv("KEPT");
	(void)fprintf(stderr, " %d %d\n", getenv("KEPT") == NULL, getauxval(AT_SECURE) == 0);
}

static void terminals(void)
{
	struct termios modes;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	memset(&modes, 0, sizeof(modes));
	(void)fprintf(stderr, "terminal %d", tcgetattr(master, &modes));
	cfmakeraw(&modes);
	(void)fprintf(stderr, " %d", tcsetattr(master, TCSANOW, &modes));
	(void)fprintf(stderr, " %d\n", tcgetattr(master, &modes));
	say_bytes("modes", &modes, 4 * sizeof(tcflag_t) + 1 + 19);
	(void)fprintf(stderr, "none %d", tcgetattr(0, &modes));
	(void)fprintf(stderr, " %d\n", errno);
}

static void times(void)
{
	struct timespec before = {0};
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	for (int i = 0; i < 1000; i++)
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)fprintf(stderr, "time %d %d\n", before.tv_sec > 0,
		      now.tv_sec > before.tv_sec || now.tv_nsec > before.tv_nsec);
	errno = 0;
	(void)fprintf(stderr, "no clock %d", clock_gettime(77, &now));
	(void)fprintf(stderr, " %d\n", errno);
}

int main(int argc, char **argv)
{
	memory();
	times();
	texts();
	numbers();
	addresses();
	files(argc - 1, argv + 1);
	processes();
	terminals();
	return printf("%d words\n", argc) < 0;
}
