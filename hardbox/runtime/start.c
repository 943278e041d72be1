/* The first instructions of our programs, instead of the C library's start-up code.
 *
 * That code asks the processor what it is, with some twenty CPUID instructions, to choose among its
 * copies of memcpy(3) and the like. In a virtual machine each of them is a call of the
 * hypervisor's: 0.6 ms on the machine of docs/performance.md, more than the kernel needs for all
 * namespaces. What our programs need of a C library is little, and stands in this directory: for
 * x86-64 with the headers of glibc, no threads, no locale, no signal handlers, no allocation that
 * is ever given back to the heap. meson.build says when it is used.
 *
 * Run by: the kernel, in hardbox and hardbox-launch. */
#include "runtime.h"

#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_SET_FS 0x1002
#define FAILED 125

/* What %fs leads to: its first word is its own address, its sixth the stack's canary. */
static struct {
	uintptr_t self, unused[4], canary;
} thread;

static const Elf64_auxv_t *auxiliary;
char **environ;

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));
_Noreturn void runtime_start(uintptr_t *stack) __attribute__((visibility("hidden")));
int main(int argc, char **argv, char **envp);

__asm__(".text\n"
	".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	endbr64\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call runtime_start\n"
	"	hlt\n");

unsigned long getauxval(unsigned long type)
{
	for (const Elf64_auxv_t *at = auxiliary; at->a_type != AT_NULL; at++)
		if (at->a_type == type)
			return at->a_un.a_val;
	return 0;
}

/* A static program that stands where the kernel put it: all its own pointers are moved there. Anything
 * else would be a symbol that the linker has not found. */
static int relocate(uintptr_t base)
{
	const Elf64_Rela *row = NULL;
	uint64_t size = 0;

	for (const Elf64_Dyn *at = _DYNAMIC; at->d_tag != DT_NULL; at++) {
		if (at->d_tag == DT_RELA)
			row = (const Elf64_Rela *)(base + at->d_un.d_ptr);
		if (at->d_tag == DT_RELASZ)
			size = at->d_un.d_val;
		if (at->d_tag == DT_REL || at->d_tag == DT_JMPREL || at->d_tag == 36 /* DT_RELR */)
			return -1;
	}
	for (uint64_t i = 0; row != NULL && i < size / sizeof(*row); i++) {
		if (ELF64_R_TYPE(row[i].r_info) != R_X86_64_RELATIVE)
			return -1;
		*(uintptr_t *)(base + row[i].r_offset) = base + (uintptr_t)row[i].r_addend;
	}
	return 0;
}

/* Those pointers, and whatever else never changes, become read-only. */
static int protect(uintptr_t base)
{
	const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
	uintptr_t page = getauxval(AT_PAGESZ);

	for (uint64_t i = 0; i < getauxval(AT_PHNUM); i++) {
		uintptr_t first = (base + header[i].p_vaddr) & ~(page - 1);
		uintptr_t end = (base + header[i].p_vaddr + header[i].p_memsz) & ~(page - 1);

		if (header[i].p_type == PT_GNU_RELRO)
			return runtime_call(SYS_mprotect, (long)first, (long)(end - first), PROT_READ, 0, 0,
					    0) == 0
				   ? 0
				   : -1;
	}
	return -1;
}

/* Until the canary is there no function may look for it. */
__attribute__((no_stack_protector)) _Noreturn void runtime_start(uintptr_t *stack)
{
	uintptr_t base = (uintptr_t)&__ehdr_start;
	int argc = (int)stack[0];
	char **argv = (char **)(stack + 1);
	char **at = argv + argc + 1;

	environ = at;
	while (*at != NULL)
		at++;
	auxiliary = (const Elf64_auxv_t *)(at + 1);
	thread.self = (uintptr_t)&thread;
	/* Its lowest byte is 0: no text that is copied too far can carry it. */
	thread.canary = *(const uintptr_t *)getauxval(AT_RANDOM) & ~(uintptr_t)0xff;
	if (runtime_call(SYS_arch_prctl, ARCH_SET_FS, (long)&thread, 0, 0, 0, 0) != 0 ||
	    relocate(base) < 0 || protect(base) < 0)
		_exit(FAILED);
	_exit(main(argc, argv, environ));
}
