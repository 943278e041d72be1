/* libFuzzer harness for everything that reads a plan before a process is made: plan_decode(),
 * its floor, and command_collect().
 *
 * Run by: tests/fuzz/test_fuzz_plan.py, `make fuzz`.
 *
 * The product refuses a plan whose length or digest is wrong, which would stop a fuzzer at
 * the door, so each input is tried as it is and once more with its header put right. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init.h"
#include "plan.h"
#include "sha256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "broken promise: %s\n", what);
	abort();
}

static void store32(unsigned char *to, uint32_t value)
{
	for (unsigned int i = 0; i < 4; i++)
		to[i] = (unsigned char)(value >> (8 * i));
}

/* What a decoded plan promises: every string ends within the bytes, every pointer lies there. */
static void inspect(const struct hb_plan *plan, const unsigned char *bytes, size_t size)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		require(plan->steps[i].name != NULL, "a step has a name");
		for (size_t f = 0; f < HB_FIELDS_MAX; f++) {
			const struct hb_field *field = &plan->steps[i].field[f];

			if (field->bytes == NULL)
				continue;
			require(field->bytes >= bytes && field->length <= size &&
				    field->bytes + field->length <= bytes + size,
				"a field lies within the plan");
			require(field->string == NULL || strlen(field->string) == field->length,
				"a string has no NUL but its last");
		}
	}
	require(plan_find(plan, HB_SECCOMP) != NULL, "a plan has a filter");
	require(plan->steps[plan->count - 1].kind == HB_EXEC, "a plan ends with exec");
}

static void collect(const struct hb_plan *plan)
{
	struct hb_command command;
	int result = command_collect(&command, plan, NULL);

	require(result < 0 || command.argv[0] != NULL, "a command has a name");
	for (char **variable = command.envp; variable != NULL && *variable != NULL; variable++)
		free(*variable);
	free(command.envp);
	free(command.argv);
}

static void decode(const unsigned char *bytes, size_t size)
{
	struct hb_plan plan;

	if (plan_decode(bytes, size, &plan) == 0) {
		inspect(&plan, bytes, size);
		collect(&plan);
	} else {
		require(plan.why != NULL && plan.steps == NULL, "a refusal says why");
	}
	free(plan.steps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A block of exactly this size, so that one byte too far is seen. */
	unsigned char *bytes = malloc(size == 0 ? 1 : size);

	require(bytes != NULL, "there is memory");
	if (size > 0)
		memcpy(bytes, data, size);
	decode(bytes, size);
	if (size >= HB_PLAN_HEADER) {
		memcpy(bytes, HB_PLAN_MAGIC, 8);
		store32(bytes + 8, HB_PLAN_VERSION);
		store32(bytes + 12, (uint32_t)size);
		sha256(bytes + HB_PLAN_HEADER, size - HB_PLAN_HEADER, bytes + 16);
		store32(bytes + 52, 0);
		decode(bytes, size);
	}
	free(bytes);
	return 0;
}
