/* Makes random system calls with random arguments, native, x32 and through int 0x80.
 *
 * Run by: tests/fuzz/test_fuzz_syscalls.py, inside the sandbox:  fuzz_syscalls SEED SECONDS
 * Calls are made in batches, each in a process of its own, so that a call that ends its caller
 * ends no more than a batch. The last line says how many were made. Same seed, same calls. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 400
#define FOREIGN_EVERY 8 /* one batch in so many is of foreign calls, which kill at once */
#define FOREIGN_BATCH 40
#define PATIENCE_MS 100
#define LAST_CALL 470
#define X32_BIT 0x40000000ul

static uint64_t state;
static volatile uint64_t *made;
static unsigned char buffer[4][4096] __attribute__((aligned(4096)));

static const char *const paths[] = {
	"/", ".", "..", "/tmp", "/tmp/f", "/proc/self/mem", "/proc/self/ns/user", "/proc/1/root", "/proc/self/exe",
	"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/uid_map", "/dev/null", "/dev/ptmx",
	"/dev/tty", "/sys/kernel", "/etc/passwd", "/usr/bin/env", "/dev/shm/f", "proc", "tmpfs", "overlay", "",
};
/* What ends or stops more than the caller of its own batch (other attacks try these one by one),
 * or only waits: exit, exit_group, kill and its kin, pause, vfork. */
static const long left_out[] = {
	SYS_exit, SYS_exit_group, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
	SYS_pidfd_send_signal, SYS_pause, SYS_vfork, SYS_rt_sigreturn, SYS_rt_sigsuspend,
};

static uint64_t draw(void)
{
	state += 0x9e3779b97f4a7c15u;

	uint64_t z = state;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t argument(void)
{
	switch (draw() % 12) {
	case 0:
		return 0;
	case 1:
		return draw() % 8;
	case 2:
		return (uint64_t)-(int64_t)(draw() % 128); /* -1, AT_FDCWD, errno-like */
	case 3:
		return 1ull << (draw() % 64);
	case 4:
		return (1ull << (draw() % 64)) - 1;
	case 5:
	case 6:
		return (uint64_t)(uintptr_t)buffer[draw() % 4] + draw() % 64 * 8;
	case 7:
	case 8:
		return (uint64_t)(uintptr_t)paths[draw() % (sizeof(paths) / sizeof(paths[0]))];
	case 9:
		return draw() & draw(); /* a few flags */
	case 10:
		return draw() & 0xffffffffu;
	default:
		return draw();
	}
}

static uint64_t call_number(void)
{
	for (;;) {
		uint64_t number = draw() % 64 == 0 ? draw() : draw() % (LAST_CALL + 1);
		int skip = 0;

		for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
			skip |= number == (uint64_t)left_out[i];
		if (!skip)
			return number;
	}
}

static void scramble(void)
{
	for (size_t i = 0; i < sizeof(buffer); i += 8) {
		uint64_t word = draw() % 4 == 0 ? argument() : draw() % 16;

		memcpy((unsigned char *)buffer + i, &word, 8);
	}
}

static void int80(uint64_t number, const uint64_t *a)
{
	long result = (long)(uint32_t)number;

	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			 : "memory", "r8", "r9", "r10", "r11");
}

static void call_once(int foreign)
{
	uint64_t a[6];
	uint64_t number = call_number();
	pid_t self = getpid();

	for (int i = 0; i < 6; i++)
		a[i] = argument();
	++*made;
	if (foreign == 1)
		int80(number % 512, a);
	else
		(void)syscall((long)(foreign == 2 ? number | X32_BIT : number), a[0], a[1], a[2], a[3], a[4], a[5]);
	if (syscall(SYS_getpid) != self)
		_exit(0); /* a child of a fork or clone */
}

static void batch(unsigned int number, int foreign)
{
	struct rlimit none = {0, 0};
	int null = open("/dev/null", O_RDWR);

	/* Random writes must not drown the last line, nor random reads wait for the caller. */
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	(void)setrlimit(RLIMIT_CORE, &none);
	state = state * 31 + number;
	scramble();
	for (int i = 0; i < (foreign ? 1 : BATCH); i++)
		call_once(foreign);
	_exit(0);
}

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* 1 if it was ended by a signal. */
static int finish(pid_t child)
{
	double began = now();
	int status = 0;
	pid_t ended;

	while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
		struct timespec pause = {0, 200000};

		if (now() - began > PATIENCE_MS / 1000.0)
			(void)kill(child, SIGKILL);
		(void)nanosleep(&pause, NULL);
	}
	/* Whatever it left running, and children of others that came to us. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	return ended == child && WIFSIGNALED(status);
}

int main(int argc, char **argv)
{
	unsigned long batches = 0, killed = 0, foreign_calls = 0;
	double end;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: fuzz_syscalls SEED SECONDS\n");
		return 2;
	}
	state = strtoull(argv[1], NULL, 0);
	end = now() + atof(argv[2]);
	made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return 2;
	for (unsigned int number = 0; now() < end; number++) {
		int foreign = number % FOREIGN_EVERY == 0;

		for (unsigned int i = 0; i < (foreign ? FOREIGN_BATCH : 1u) && now() < end; i++) {
			pid_t child = fork();

			if (child == 0)
				batch(number * 1000 + i, foreign ? 1 + (int)(i & 1) : 0);
			if (child < 0)
				continue; /* what an earlier batch left running holds all places */
			batches++;
			foreign_calls += (unsigned long)foreign;
			killed += (unsigned long)finish(child);
		}
	}
	(void)printf("%llu calls in %lu batches, %lu of them foreign, %lu ended by a signal\n",
		     (unsigned long long)*made, batches, foreign_calls, killed);
	return 0;
}
