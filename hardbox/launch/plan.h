/* The launch plan: hostile bytes until plan_decode() has accepted them.
 *
 * Used by: main.c, supervisor.c, init.c, hold.c. Layout, all little-endian:
 *   magic[8] version:u32 total:u32 sha256[32] steps:u32 zero:u32   then `steps` records of
 *   kind:u32 length:u32 payload[length]
 * Strings in a payload are length:u32, bytes, NUL; bytes are length:u32, bytes.
 */
#ifndef HB_PLAN_H
#define HB_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "kinds.h"

#define HB_PLAN_MAGIC "HBXPLAN\x01"
#define HB_PLAN_VERSION 1u
#define HB_PLAN_HEADER 56u
/* What one launch can carry; hardbox/plan/ says so before it makes such a plan
 * (tests/unit/test_numbers.py). */
#define HB_PLAN_MAX (16u << 20)
#define HB_STEPS_MAX 16384u
#define HB_SEARCH_MAX 64u
#define HB_TREES_MAX 4000u /* of HB_STEPS_MAX each takes four */
#define HB_FIELDS_MAX 6u

enum hb_kind {
#define HB_ENUM(number, name, text, fields, phase) HB_##name = (number),
	HB_KINDS(HB_ENUM)
#undef HB_ENUM
};

enum hb_phase { HB_PHASE_OUTSIDE, HB_PHASE_DATA, HB_PHASE_INSIDE };

/* One field of a step; which member is set follows from the kind's signature. */
struct hb_field {
	uint64_t number;
	const char *string;
	const unsigned char *bytes;
	size_t length;
};

struct hb_step {
	enum hb_kind kind;
	enum hb_phase phase;
	const char *name;
	struct hb_field field[HB_FIELDS_MAX];
};

struct hb_plan {
	struct hb_step *steps;
	uint32_t count;
	const char *why; /* what is wrong with the bytes, if decoding failed */
};

/* Decode `size` bytes; the plan points into them, so they must stay. The caller frees
 * plan->steps. Returns 0, or -1 with plan->why set and plan->steps NULL. */
int plan_decode(const unsigned char *bytes, size_t size, struct hb_plan *plan);

/* The same for steps that are no plan, and are held to no floor: what a job brings to a member of a
 * pool, which only hold.c takes. */
int plan_decode_part(const unsigned char *bytes, size_t size, struct hb_plan *plan);

/* The first step of a kind, or NULL. */
const struct hb_step *plan_find(const struct hb_plan *plan, enum hb_kind kind);
/* Its 1-based number, or 0. */
uint32_t plan_index(const struct hb_plan *plan, enum hb_kind kind);

/* NULL, or why no job may be run by this plan, whose steps have been decoded (floor.c). */
const char *plan_below_floor(const struct hb_plan *plan);

#endif
