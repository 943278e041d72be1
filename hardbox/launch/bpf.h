/* The classic BPF of our own filters, run outside of the kernel.
 *
 * Used by: filter.c, notify.c. */
#ifndef HB_BPF_H
#define HB_BPF_H

#include <stddef.h>
#include <stdint.h>

#include <linux/audit.h>
#include <linux/seccomp.h>

#if defined(__x86_64__)
#define HB_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define HB_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "there are no filters for this machine"
#endif

#define HB_BPF_WORDS 16 /* of 32 bits, in struct seccomp_data */

struct hb_answer {
	uint32_t action; /* SECCOMP_RET_* with its data */
	uint32_t looked; /* bit N: word N of the data was read on the way */
};

/* Run `size` bytes of struct sock_filter over `data`. 0; or -1 and EINVAL for a program that the
 * kernel would not take, or that has an instruction which hardbox/filters never writes. */
int bpf_run(const unsigned char *program, size_t size, const struct seccomp_data *data,
	    struct hb_answer *answer);

#endif
