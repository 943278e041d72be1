/* Runs a program in the launcher's own interpreter over many struct seccomp_data.
 *
 * Run by: tests/unit/test_bpf_c.py, which compares it with the oracle.
 *   stdin: size:u32, program, then data of 64 bytes each; stdout: result:i32 action:u32 looked:u32 for each */
#include <stdio.h>

#include "bpf.h"

static unsigned char program[1 << 20];

int main(void)
{
	uint32_t size;
	struct seccomp_data data;

	if (fread(&size, sizeof(size), 1, stdin) != 1 || size > sizeof(program) ||
	    fread(program, 1, size, stdin) != size)
		return 1;
	while (fread(&data, sizeof(data), 1, stdin) == 1) {
		struct hb_answer answer = {0};
		struct {
			int32_t result;
			struct hb_answer answer;
		} out = {.result = bpf_run(program, size, &data, &answer)};

		out.answer = answer;
		if (fwrite(&out, sizeof(out), 1, stdout) != 1)
			return 1;
	}
	return 0;
}
