/* Prints a plan as the launcher's own decoder sees it: one line for each step.
 *
 * Run by: tests/unit/test_wire.py, which compares it with what Python has encoded.
 *   kind name phase [n:NUMBER] [s:HEX] [b:HEX] ... */
#include <stdio.h>
#include <stdlib.h>

#include "plan.h"

static unsigned char bytes[HB_PLAN_MAX];

static void print_hex(const struct hb_field *field)
{
	(void)printf(" %c:", field->string != NULL ? 's' : 'b');
	for (size_t i = 0; i < field->length; i++)
		(void)printf("%02x", field->bytes[i]);
}

int main(void)
{
	static const struct {
		int number;
		const char *fields;
	} kinds[] = {
#define ROW(number, name, text, fields, phase) {number, fields},
	    HB_KINDS(ROW)
#undef ROW
	};
	struct hb_plan plan;
	size_t size = fread(bytes, 1, sizeof(bytes), stdin);

	if (plan_decode(bytes, size, &plan) < 0) {
		(void)printf("refused: %s\n", plan.why);
		return 1;
	}
	for (uint32_t i = 0; i < plan.count; i++) {
		const struct hb_step *step = &plan.steps[i];
		const char *fields = "";

		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			if (kinds[k].number == (int)step->kind)
				fields = kinds[k].fields;
		(void)printf("%d %s %d", (int)step->kind, step->name, (int)step->phase);
		for (size_t f = 0; fields[f] != '\0'; f++)
			if (fields[f] == 'u' || fields[f] == 'q')
				(void)printf(" n:%llu", (unsigned long long)step->field[f].number);
			else
				print_hex(&step->field[f]);
		(void)printf("\n");
	}
	free(plan.steps);
	return 0;
}
