/* An interpreter of the eight instructions that hardbox/filters and libseccomp write. It runs the
 * program that the kernel has run already, over the same registers, and so comes to the same
 * answer; what it cannot run has no answer, and its caller refuses then. Jumps go forward only:
 * no program takes more steps than it has instructions.
 *
 * Run by: the supervisor, for each notification; init, once, before it loads the filter. */
#include "bpf.h"

#include <errno.h>
#include <string.h>

#include <linux/filter.h>

static int invalid(void)
{
	errno = EINVAL;
	return -1;
}

int bpf_run(const unsigned char *program, size_t size, const struct seccomp_data *data,
	    struct hb_answer *answer)
{
	size_t count = size / sizeof(struct sock_filter);
	uint32_t words[HB_BPF_WORDS];
	uint32_t accumulator = 0;

	_Static_assert(sizeof(words) == sizeof(*data), "the data are sixteen words");
	if (size % sizeof(struct sock_filter) != 0 || count > BPF_MAXINSNS)
		return invalid();
	memcpy(words, data, sizeof(words));
	answer->looked = 0;
	for (size_t at = 0; at < count; at++) {
		struct sock_filter step;

		memcpy(&step, program + at * sizeof(step), sizeof(step));
		switch (step.code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (step.k % 4 != 0 || step.k / 4 >= HB_BPF_WORDS)
				return invalid();
			accumulator = words[step.k / 4];
			answer->looked |= 1u << (step.k / 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			accumulator &= step.k;
			break;
		case BPF_JMP | BPF_JA:
			if (step.k >= count)
				return invalid();
			at += step.k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += accumulator == step.k ? step.jt : step.jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			at += accumulator > step.k ? step.jt : step.jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += accumulator >= step.k ? step.jt : step.jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			at += (accumulator & step.k) != 0 ? step.jt : step.jf;
			break;
		case BPF_RET | BPF_K:
			answer->action = step.k;
			return 0;
		default:
			return invalid();
		}
	}
	return invalid();
}
