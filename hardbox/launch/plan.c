/* Decoding a launch plan. The bytes are treated as hostile: every length is checked
 * against what is left, every kind against the table, and the plan as a whole against
 * the floor that no plan may go below.
 *
 * Run by: the supervisor, before anything else happens. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "sha256.h"

struct kind_row {
	const char *name;
	const char *fields;
	uint16_t number;
	enum hb_phase phase;
};

static const struct kind_row kind_rows[] = {
#define HB_ROW(number, name, text, fields, phase) {text, fields, number, HB_PHASE_##phase},
    HB_KINDS(HB_ROW)
#undef HB_ROW
};

struct cursor {
	const unsigned char *at;
	size_t left;
};

static uint32_t load32(const unsigned char *p)
{
	return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}

static int take(struct cursor *c, size_t size, const unsigned char **out)
{
	if (size > c->left)
		return -1;
	*out = c->at;
	c->at += size;
	c->left -= size;
	return 0;
}

static int take32(struct cursor *c, uint32_t *out)
{
	const unsigned char *p;

	if (take(c, 4, &p) < 0)
		return -1;
	*out = load32(p);
	return 0;
}

static int take_field(struct cursor *c, char type, struct hb_field *field)
{
	uint32_t low;
	uint32_t high = 0;

	if (take32(c, &low) < 0)
		return -1;
	if (type == 'q' && take32(c, &high) < 0)
		return -1;
	if (type == 'u' || type == 'q') {
		field->number = (uint64_t)low | ((uint64_t)high << 32);
		return 0;
	}
	field->length = low;
	if (take(c, low, &field->bytes) < 0)
		return -1;
	if (type == 's') {
		const unsigned char *nul;

		if (take(c, 1, &nul) < 0 || *nul != 0)
			return -1;
		if (memchr(field->bytes, 0, field->length) != NULL)
			return -1;
		field->string = (const char *)field->bytes;
	}
	return 0;
}

static const struct kind_row *kind_row(uint32_t number)
{
	for (size_t i = 0; i < sizeof(kind_rows) / sizeof(kind_rows[0]); i++)
		if (kind_rows[i].number == number)
			return &kind_rows[i];
	return NULL;
}

static int take_step(struct cursor *c, struct hb_step *step)
{
	uint32_t kind;
	uint32_t length;
	const unsigned char *payload;

	if (take32(c, &kind) < 0 || take32(c, &length) < 0 || take(c, length, &payload) < 0)
		return -1;

	const struct kind_row *row = kind_row(kind);

	if (row == NULL)
		return -1;

	struct cursor fields = {payload, length};

	for (size_t i = 0; row->fields[i] != '\0'; i++)
		if (take_field(&fields, row->fields[i], &step->field[i]) < 0)
			return -1;
	if (fields.left != 0)
		return -1;
	step->kind = (enum hb_kind)row->number;
	step->phase = row->phase;
	step->name = row->name;
	return 0;
}

const struct hb_step *plan_find(const struct hb_plan *plan, enum hb_kind kind)
{
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->steps[i].kind == kind)
			return &plan->steps[i];
	return NULL;
}

uint32_t plan_index(const struct hb_plan *plan, enum hb_kind kind)
{
	const struct hb_step *step = plan_find(plan, kind);

	return step == NULL ? 0 : (uint32_t)(step - plan->steps) + 1;
}

static const char *decode(const unsigned char *bytes, size_t size, struct hb_plan *plan)
{
	unsigned char digest[32];

	if (size < HB_PLAN_HEADER || size > HB_PLAN_MAX)
		return "its size is out of range";
	if (memcmp(bytes, HB_PLAN_MAGIC, 8) != 0)
		return "it is not a hardbox plan";
	if (load32(bytes + 8) != HB_PLAN_VERSION)
		return "it was made for another version of the plan format";
	if (load32(bytes + 12) != size)
		return "it is cut short or has something appended";
	sha256(bytes + HB_PLAN_HEADER, size - HB_PLAN_HEADER, digest);
	if (memcmp(digest, bytes + 16, sizeof(digest)) != 0)
		return "its digest does not match: it was changed or damaged";

	uint32_t count = load32(bytes + 48);

	if (count == 0 || count > HB_STEPS_MAX || load32(bytes + 52) != 0)
		return "its number of steps is out of range";
	plan->steps = calloc(count, sizeof(*plan->steps));
	if (plan->steps == NULL)
		return "there is no memory for its steps";

	struct cursor c = {bytes + HB_PLAN_HEADER, size - HB_PLAN_HEADER};

	for (plan->count = 0; plan->count < count; plan->count++)
		if (take_step(&c, &plan->steps[plan->count]) < 0)
			return "a step is malformed or of unknown kind";
	return c.left == 0 ? NULL : "something stands behind its last step";
}

static int accepted(struct hb_plan *plan)
{
	if (plan->why == NULL)
		return 0;
	free(plan->steps);
	plan->steps = NULL;
	plan->count = 0;
	return -1;
}

int plan_decode(const unsigned char *bytes, size_t size, struct hb_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	plan->why = decode(bytes, size, plan);
	if (plan->why == NULL)
		plan->why = plan_below_floor(plan);
	return accepted(plan);
}

int plan_decode_part(const unsigned char *bytes, size_t size, struct hb_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	plan->why = decode(bytes, size, plan);
	return accepted(plan);
}
