/* Throughput: WORKERS processes launch a command in a row until COUNT launches are done; prints the
 * microseconds for each launch.
 *
 * Run by: bench/parallel.py. usage: many WORKERS COUNT COMMAND ARG... */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(125);
}

int main(int argc, char **argv)
{
	struct timespec began, ended;
	int workers = argc > 3 ? atoi(argv[1]) : 0;
	int count = argc > 3 ? atoi(argv[2]) : 0;
	atomic_int *left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	int failed = 0;

	check(workers > 0 && count > 0 && left != MAP_FAILED, "usage: many WORKERS COUNT COMMAND ARG...");
	atomic_store(left, count);
	check(clock_gettime(CLOCK_MONOTONIC, &began) == 0, "clock_gettime");
	for (int i = 0; i < workers; i++) {
		pid_t worker = fork();

		check(worker >= 0, "fork");
		while (worker == 0) {
			pid_t child;

			if (atomic_fetch_sub(left, 1) <= 0)
				_exit(0);
			if (posix_spawn(&child, argv[3], NULL, NULL, argv + 3, environ) != 0 ||
			    waitpid(child, &status, 0) != child || status != 0)
				_exit(1);
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	check(clock_gettime(CLOCK_MONOTONIC, &ended) == 0, "clock_gettime");
	if (failed != 0) {
		(void)fprintf(stderr, "a launch failed\n");
		return 1;
	}
	double passed = (double)(ended.tv_sec - began.tv_sec) * 1e6 + (double)(ended.tv_nsec - began.tv_nsec) / 1e3;

	printf("%.1f\n", passed / count);
	return 0;
}
