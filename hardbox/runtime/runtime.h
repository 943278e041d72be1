/* What the files of this directory share.  Used by: them alone; programs include the C library's headers. */
#ifndef HB_RUNTIME_H
#define HB_RUNTIME_H

/* Make a system call; gives what the kernel gives: a negative errno for an error. */
static inline long runtime_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* As system calls are told of in C: -1 and errno. */
long runtime_result(long value);

/* Something that cannot be has happened: say so, and die of SIGABRT. */
_Noreturn void runtime_fail(const char *what);

#endif
