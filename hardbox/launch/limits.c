/* The limits of a job as a whole: by a cgroup, where the plan names one, else by looking at the
 * tree's memory now and then. Samples for the caller are taken here too.
 *
 * Run by: the supervisor. */
#include "limits.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"
#include "numbers.h"
#include "sample.h"

#define MS 1000000u
/* How fast a job may be thought to take memory: 4 bytes in a nanosecond. */
#define FASTEST 4u
/* Looking costs a twentieth of a CPU, unless a look takes long. */
#define SHARE 20u
#define SLOWEST 10u /* times the longest interval */
/* A kill is announced before it is counted. */
#define AGAIN 50u
#define AGAIN_AFTER (2 * MS)
#define SAMPLE_FIRST (50 * MS)
#define SAMPLES_MAX 600u

int limits_prepare(struct launch *launch)
{
	struct hb_limits *limits = &launch->limits;
	struct hb_cgroup *next = limits->cgroups;

	limits->step = plan_index(launch->plan, HB_CGROUP);
	for (uint32_t i = 0; limits->step > 0 && i < launch->plan->count; i++) {
		if (launch->plan->steps[i].kind != HB_CGROUP)
			continue;
		/* The floor lets no more of them in. */
		if (next == limits->cgroups + HB_CGROUPS_MAX)
			return blame(launch, i + 1, E2BIG);
		if (cgroup_make(&launch->plan->steps[i], next++) < 0)
			return blame(launch, i + 1, errno);
	}
	return 0;
}

int limits_apply(struct launch *launch)
{
	struct hb_limits *limits = &launch->limits;
	const struct hb_cgroup *cgroup = NULL;

	if (limits->cgroups[0].folder < 0)
		return 0;
	for (uint32_t i = 0; i < launch->plan->count; i++) {
		const struct hb_step *step = &launch->plan->steps[i];

		/* Each one's limits stand behind it (floor.c). */
		if (step->kind == HB_CGROUP)
			cgroup = cgroup == NULL ? limits->cgroups : cgroup + 1;
		if (step->kind != HB_CGROUP_LIMIT)
			continue;
		if (cgroup_limit(cgroup, step) < 0)
			return blame(launch, i + 1, errno);
		if (strncmp(step->field[0].string, "cpu.", strlen("cpu.")) == 0)
			limits->paced = cgroup;
		/* The first one is the memory (floor.c). */
		if (limits->memory == 0)
			limits->memory = step->field[1].number;
	}
	limits->events = cgroup_events(&limits->cgroups[0]);
	if (limits->events < 0)
		return blame(launch, limits->step, errno);
	for (size_t i = 0; i < HB_CGROUPS_MAX; i++)
		if (limits->cgroups[i].folder >= 0)
			cgroup_reclaim(&limits->cgroups[i]);
	return 0;
}

int limits_begin(struct launch *launch)
{
	const struct hb_step *watch = plan_find(launch->plan, HB_WATCH);
	struct hb_limits *limits = &launch->limits;
	uint64_t now = now_ns();
	struct hb_sample sample;

	if (limits->asked) {
		limits->sample_every = SAMPLE_FIRST;
		limits->sample_at = now + SAMPLE_FIRST;
	}
	if (watch == NULL)
		return 0;
	limits->memory = watch->field[0].number;
	limits->least = watch->field[1].number * MS;
	limits->most = watch->field[2].number * MS;
	limits->step = plan_index(launch->plan, HB_WATCH);
	limits->look_at = now + limits->least;
	/* Where /proc hides the job from us, nothing may run. */
	return sample_take(launch->init, HB_SAMPLE_BOUND, &sample) < 0 || sample.tasks == 0
		   ? blame(launch, limits->step, errno)
		   : 0;
}

uint64_t limits_due(const struct launch *launch)
{
	return earlier(launch->limits.look_at, launch->limits.sample_at);
}

static void hit(struct launch *launch)
{
	if (launch->cause == HB_CAUSE_OWN)
		launch->cause = HB_CAUSE_MEMORY;
	launch->limits.look_at = 0;
	kill_all(launch);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void remember(struct hb_limits *limits, const struct hb_sample *sample)
{
	if (sample->most > 0)
		memcpy(limits->name, sample->name, sizeof(limits->name));
}

static void note_tasks(struct hb_limits *limits, const struct hb_sample *sample)
{
	if (sample->tasks > limits->tasks)
		limits->full = 0;
	limits->tasks = larger(limits->tasks, sample->tasks);
	if (sample->tasks == limits->tasks)
		limits->full++;
}

/* The sum of what is resident is cheap, and an upper bound but for what each CPU has not yet added
 * to a process's count: only near the limit is it worth to know it exactly. */
static void watch_memory(struct launch *launch)
{
	struct hb_limits *limits = &launch->limits;
	uint64_t began = now_ns();
	struct hb_sample sample;
	int seen = sample_take(launch->init, HB_SAMPLE_BOUND, &sample);

	if (seen == 0 && sample.memory > limits->memory - limits->memory / 4)
		seen = sample_take(launch->init, HB_SAMPLE_EXACT, &sample);
	limits->looks++;
	if (seen == 0)
		note_tasks(limits, &sample);
	if (seen == 0 && sample.memory > limits->peak) {
		limits->peak = sample.memory;
		remember(limits, &sample);
	}

	/* An init that cannot be read has ended, which poll(2) will tell. A tree that cannot be
	 * counted is not let run on. */
	if ((seen == 0 && sample.memory > limits->memory) || (seen < 0 && errno == E2BIG)) {
		limits->hits = 1;
		hit(launch);
		return;
	}

	uint64_t now = now_ns();
	uint64_t wait = (seen == 0 ? limits->memory - sample.memory : 0) / FASTEST;

	wait = wait > limits->most ? limits->most : wait;
	wait = wait < limits->least ? limits->least : wait;

	/* Looks that are slow are taken less often, but never so rarely as to be none. */
	uint64_t rest = (now - began) * SHARE;

	rest = rest > limits->most * SLOWEST ? limits->most * SLOWEST : rest;
	wait = wait < rest ? rest : wait;
	limits->look_at = now + wait;
}

/* The kernel has said that memory runs out, or was about to. */
static void look_for_kills(struct launch *launch)
{
	struct hb_limits *limits = &launch->limits;

	limits->looks++;
	limits->look_at = 0;
	if (cgroup_kills(&limits->cgroups[0]) > 0)
		hit(launch);
	else if (limits->again > 0 && limits->again-- > 0)
		limits->look_at = now_ns() + AGAIN_AFTER;
}

static uint64_t memory_now(const struct launch *launch, const struct hb_sample *sample)
{
	const struct hb_cgroup *cgroup = &launch->limits.cgroups[0];
	const char *file = cgroup->version == 2 ? "memory.current" : "memory.usage_in_bytes";
	uint64_t now = 0;

	return cgroup->folder >= 0 && number_read(cgroup->folder, file, NULL, &now) == 0
		   ? now
		   : sample->memory;
}

static void take_sample(struct launch *launch)
{
	struct hb_limits *limits = &launch->limits;
	struct pollfd room = {.fd = launch->status_fd, .events = POLLOUT};
	uint64_t now = now_ns();
	struct hb_sample sample;
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);

	if (++limits->samples == SAMPLES_MAX) {
		limits->sample_every *= 2;
		limits->samples = SAMPLES_MAX / 2;
	}
	/* A caller that does not read loses samples; the clock and the limits go on. */
	if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0 &&
	    sample_take(launch->init, HB_SAMPLE_CURVES, &sample) == 0) {
		uint64_t *used = limits->used;

		note_tasks(limits, &sample);
		used[0] = larger(used[0], sample.ticks);
		used[1] = larger(used[1], sample.read);
		used[2] = larger(used[2], sample.written);

		uint64_t head[] = {now - launch->began,
				   memory_now(launch, &sample),
				   used[0] * 1000000u / ticks,
				   sample.tasks,
				   used[1],
				   used[2]};

		(void)record_write(launch->status_fd, HB_RECORD_SAMPLE, head, sizeof(head), NULL, 0);
	}

	uint64_t cost = (now_ns() - now) * SHARE;

	limits->sample_at = now_ns() + (cost > limits->sample_every ? cost : limits->sample_every);
}

void limits_look(struct launch *launch, int event)
{
	struct hb_limits *limits = &launch->limits;
	uint64_t now = now_ns();

	if (event) {
		struct hb_sample sample;

		cgroup_events_seen(&limits->cgroups[0], limits->events);
		limits->again = AGAIN;
		if (sample_take(launch->init, HB_SAMPLE_BOUND, &sample) == 0)
			remember(limits, &sample);
	}
	if (limits->least > 0 && limits->look_at != 0 && now >= limits->look_at)
		watch_memory(launch);
	else if (event || (limits->look_at != 0 && now >= limits->look_at))
		look_for_kills(launch);
	if (limits->sample_at != 0 && now >= limits->sample_at)
		take_sample(launch);
}

static void tell(const struct launch *launch, uint64_t pressed, uint64_t stalled)
{
	const struct hb_limits *limits = &launch->limits;
	struct {
		uint32_t version, reserved;
		uint64_t looks, hits, peak, pressed, stalled;
		char name[16];
		uint64_t throttled, tasks, full;
	} head = {
	    .version = limits->cgroups[0].version,
	    .looks = limits->looks,
	    .hits = limits->hits,
	    .peak = limits->peak,
	    .pressed = pressed,
	    .stalled = stalled,
	    .throttled = limits->throttled,
	    .tasks = limits->tasks,
	    .full = limits->full,
	};

	memcpy(head.name, limits->name, sizeof(head.name));
	(void)record_write(launch->status_fd, HB_RECORD_LIMITS, &head, sizeof(head), NULL, 0);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234": microseconds that somebody waited for memory. */
static uint64_t pressure(const struct hb_cgroup *cgroup)
{
	char text[256];
	uint64_t total = 0;

	if (text_read(cgroup->folder, "memory.pressure", text, sizeof(text)) < 0)
		return 0;

	const char *at = strstr(text, "total=");

	return at == NULL || number_find(at + strlen("total="), NULL, &total) < 0 ? 0 : total;
}

void limits_end(struct launch *launch)
{
	struct hb_limits *limits = &launch->limits;
	const struct hb_cgroup *cgroup = &limits->cgroups[0];
	uint64_t pressed = 0;
	uint64_t stalled = 0;

	limits->look_at = 0;
	limits->sample_at = 0;
	if (cgroup->folder >= 0) {
		int second = cgroup->version == 2;

		const char *peak = second ? "memory.peak" : "memory.max_usage_in_bytes";

		limits->hits = cgroup_kills(cgroup);
		/* Files that this kernel lacks leave their number 0: unknown. */
		if (launch->status_fd >= 0) {
			(void)number_read(cgroup->folder, peak, NULL, &limits->peak);
			pressed = cgroup_pressed(cgroup);
			stalled = second ? pressure(cgroup) : 0;
			limits->throttled = limits->paced == NULL ? 0 : cgroup_throttled(limits->paced);
		}
		if (limits->hits > 0 && launch->cause == HB_CAUSE_OWN)
			launch->cause = HB_CAUSE_MEMORY;
		/* Killed for want of memory before the exec: the set-up did not fit. */
		if (limits->hits > 0 && !launch->started && launch->no_exec == 0)
			(void)blame(launch, limits->step, ENOMEM);
	}
	if (limits->memory > 0)
		tell(launch, pressed, stalled);
	for (size_t i = 0; i < HB_CGROUPS_MAX; i++)
		if (limits->cgroups[i].place >= 0)
			cgroup_remove(&limits->cgroups[i]);
}

const char *limits_means(const struct hb_limits *limits)
{
	return limits->least > 0 ? "watched" : limits->cgroups[0].version == 2 ? "cgroup v2" : "cgroup v1";
}
