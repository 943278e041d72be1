/* What was refused goes to the caller: as a record, or, where the caller is a person who has run
 * `hardbox run` without Python or a compiled plan, through the `hardbox` beside this program, which
 * knows the words. It is a child, so that the exit status stays ours whatever becomes of it.
 *
 * Run by: the supervisor, last, and only if something was refused. */
#include "tell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "missing.h"
#include "notify.h"
#include "observe.h"
#include "scratch.h"
#include "sha256.h"
#include "sys.h"

#define ROWS_FD 3

static size_t table_size(const struct hb_denials *table)
{
	return offsetof(struct hb_denials, row) + table->count * sizeof(table->row[0]);
}

void denials_record(const struct launch *launch)
{
	const struct hb_denials *table = denials();

	if (table->count > 0)
		(void)record_write(launch->status_fd, HB_RECORD_DENIED, table, table_size(table),
				   NULL, 0);

	scratch_end();
	missing_end();

	const struct hb_observations *seen = observations();

	if (seen->count > 0)
		(void)record_write(launch->status_fd, HB_RECORD_OBSERVED, seen,
				   offsetof(struct hb_observations, row) +
				       seen->count * sizeof(seen->row[0]),
				   NULL, 0);
}

/* The path of the program NAME beside this one; 0 if it cannot be told. */
static int beside(const char *name, char *room, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", room, size - 1);
	char *slash;

	if (length <= 0 || (size_t)length >= size - 1)
		return 0;
	room[length] = '\0';
	slash = strrchr(room, '/');
	if (slash == NULL || (size_t)(slash - room) + strlen(name) + 2 > size)
		return 0;
	memcpy(slash + 1, name, strlen(name) + 1);
	return 1;
}

static _Noreturn void become_hardbox(char *path, int rows, char *name, char *digest, char *filter)
{
	char *words[] = {(char *)(uintptr_t) "hardbox", (char *)(uintptr_t) "denied", name, digest,
			 filter, NULL};
	sigset_t none;

	/* dup2(2) to its own number would leave it to be closed by the exec. As hardbox would be started
	 * by a shell: nothing ignored, nothing held back. */
	if ((rows == ROWS_FD ? fcntl(rows, F_SETFD, 0) == 0 : dup2(rows, ROWS_FD) == ROWS_FD) &&
	    sys_close_range(ROWS_FD + 1, ~0u) == 0 &&
	    signal(SIGPIPE, SIG_DFL) != SIG_ERR && signal(SIGXFSZ, SIG_DFL) != SIG_ERR &&
	    sigemptyset(&none) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		(void)execv(path, words);
	_exit(1);
}

void denials_explain(const struct launch *launch)
{
	const struct hb_denials *table = denials();
	const struct hb_step *policy = plan_find(launch->plan, HB_POLICY);
	const struct hb_step *filter = plan_find(launch->plan, HB_SECCOMP);
	char path[PATH_MAX];
	char digest[65];
	unsigned char sum[32];
	int status = 0;

	if (table->count == 0 || launch->called || policy == NULL || filter == NULL)
		return;

	int rows = memfd_create("hardbox-denied", MFD_CLOEXEC);

	if (rows < 0 || !beside("hardbox", path, sizeof(path)) ||
	    write_whole(rows, table, table_size(table)) < 0 || lseek(rows, 0, SEEK_SET) < 0) {
		(void)fprintf(stderr, "hardbox: %u kinds of system calls were refused\n", table->count);
		return;
	}
	sha256(filter->field[0].bytes, filter->field[0].length, sum);
	for (size_t i = 0; i < sizeof(sum); i++)
		(void)snprintf(digest + 2 * i, 3, "%02x", sum[i]);

	pid_t child = sys_fork();

	if (child == 0)
		become_hardbox(path, rows, (char *)(uintptr_t)policy->field[0].string,
			       (char *)(uintptr_t)policy->field[1].string, digest);
	while (child > 0 && waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			break;
	if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		(void)fprintf(stderr, "hardbox: %u kinds of system calls were refused\n", table->count);
}
