/* Hears what the filter refuses, counts it, and answers with the errno that the filter has chosen.
 *
 * The decision is the filter's: its program, run once more over the registers that the kernel has
 * kept of the call, says which errno. A call is never let through here; where the program has no
 * refusal to give, the answer is EPERM (but for `look_on`). Nothing of the job's memory is read, so
 * nothing that a thread changes meanwhile counts.
 *
 * Run by: the supervisor, out of its event loop: one notification in each turn, so that signals, the
 * clock and init are heard however many there are. */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include "bpf.h"
#include "numbers.h"
#include "observe.h"
#include "scratch.h"
#include "sys.h"

/* From here on a job pays for its refusals: nine tenths of the time the listener rests, and the
 * callers wait. The supervisor then takes at most a tenth of a CPU. */
#define FREE 65536u
#define REFUSAL 16u /* 4096 of them are free */
/* With --explain, of which an ordinary build makes tens of thousands: by what they take, because a job can
 * choose what has to be looked at. 1.3 seconds of CPU in all. */
#define LOOK_NS 20000u
#define REST_FACTOR 9u
/* Rests are taken together, because poll(2) counts in milliseconds. */
#define SHORTEST_REST 9000000u

#define FIRST_ARGUMENT_WORD 4u

static struct hb_denials table;
/* What was taken up while the listener rests, and is answered afterwards. A call that is taken up is
 * called away by no signal; so of one thread at a time none is while we rest. */
static struct seccomp_notif held;
static int holding;

const struct hb_denials *denials(void)
{
	return &table;
}

void listener_take(struct launch *launch, int descriptor)
{
	if (launch->listener < 0)
		launch->listener = descriptor;
	else
		(void)close(descriptor);
}

static void give_up(struct launch *launch)
{
	/* The kernel answers with ENOSYS from here on. */
	(void)close(launch->listener);
	launch->listener = -1;
	holding = 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void take_rest(struct launch *launch, uint64_t weight)
{
	static uint64_t answered;
	static uint64_t before;
	static uint64_t owed;
	uint64_t used;

	if (answered < FREE) {
		answered += weight;
		return;
	}
	/* All that the supervisor has used since, poll(2) and the rest of its turn included. */
	used = cpu_ns();
	owed += before == 0 ? 0 : (used - before) * REST_FACTOR;
	before = used;
	if (owed >= SHORTEST_REST) {
		launch->rest = now_ns() + owed;
		owed = 0;
	}
}

/* Empty if the thread is gone, or another has its number by now. */
void comm_of(int listener, const struct seccomp_notif *call, char comm[HB_COMM_MAX])
{
	char path[40];
	char name[HB_COMM_MAX] = {0};
	int got;

	(void)snprintf(path, sizeof(path), "/proc/%u/comm", call->pid);
	got = text_read(AT_FDCWD, path, name, sizeof(name));
	if (got > 0 && name[got - 1] == '\n')
		name[got - 1] = '\0';
	if (got > 0 && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0)
		memcpy(comm, name, HB_COMM_MAX);
}

static void count(int listener, const struct seccomp_notif *call, const struct hb_answer *answer,
		  uint32_t error)
{
	struct hb_denial seen = {.number = (uint32_t)call->data.nr,
				 .architecture = call->data.arch,
				 .error = error,
				 .looked = answer->looked,
				 .count = 1};

	for (uint32_t i = 0; i < 6; i++) {
		uint32_t word = FIRST_ARGUMENT_WORD + 2 * i;

		if ((answer->looked >> word & 1) != 0)
			seen.arguments[i] |= call->data.args[i] & UINT32_MAX;
		if ((answer->looked >> (word + 1) & 1) != 0)
			seen.arguments[i] |= call->data.args[i] & ~(uint64_t)UINT32_MAX;
	}
	for (uint32_t i = 0; i < table.count; i++) {
		struct hb_denial *row = &table.row[i];

		if (row->number == seen.number && row->architecture == seen.architecture &&
		    row->error == seen.error && row->looked == seen.looked &&
		    memcmp(row->arguments, seen.arguments, sizeof(seen.arguments)) == 0) {
			row->count++;
			return;
		}
	}
	if (table.count == HB_DENIALS_MAX) {
		table.dropped++;
		return;
	}
	comm_of(listener, call, seen.comm);
	table.row[table.count++] = seen;
}

/* With --explain, a call that the filter allows and wants looked at: the kernel goes on with it, by
 * the same registers that the filter has judged. Only here is a call let go on, and only if the
 * filter itself says so. */
static void look_on(struct launch *launch, const struct seccomp_notif *call)
{
	struct seccomp_notif_resp reply = {.id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
	uint64_t began = cpu_ns();
	struct hb_seen seen;
	int worth = observe(launch, call, &seen);

	/* What was full may be empty after this call. */
	scratch_look(launch->plan);

	if (sys_seccomp_notify(launch->listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) < 0 && errno != ENOENT)
		give_up(launch);
	if (worth)
		observe_keep(&seen);
	take_rest(launch, 1 + (cpu_ns() - began) / LOOK_NS);
}

static void answer_call(struct launch *launch, const struct seccomp_notif *call)
{
	const struct hb_step *filter = plan_find(launch->plan, HB_SECCOMP);
	struct seccomp_notif_resp reply = {0};
	struct hb_answer answer = {0};
	uint32_t error = EPERM;

	if (filter == NULL ||
	    bpf_run(filter->field[0].bytes, filter->field[0].length, &call->data, &answer) < 0)
		answer = (struct hb_answer){0};
	if (answer.action == SECCOMP_RET_USER_NOTIF && filter->field[1].number == HB_SECCOMP_WATCH) {
		look_on(launch, call);
		return;
	}
	if ((answer.action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF &&
	    (answer.action & SECCOMP_RET_DATA) != 0)
		error = answer.action & SECCOMP_RET_DATA;
	reply.id = call->id;
	reply.error = -(int32_t)error;
	count(launch->listener, call, &answer, error);
	/* ENOENT: killed, or called away by a signal, while we thought. */
	if (sys_seccomp_notify(launch->listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) < 0 && errno != ENOENT)
		give_up(launch);
	take_rest(launch, REFUSAL);
}

int listener_poll(struct launch *launch)
{
	if (launch->rest != 0 && now_ns() < launch->rest)
		return holding ? -1 : launch->listener;
	launch->rest = 0;
	if (holding) {
		holding = 0;
		answer_call(launch, &held);
	}
	return launch->listener;
}

void on_listener(struct launch *launch, short events)
{
	struct seccomp_notif call = {0};

	if ((events & POLLIN) == 0) {
		give_up(launch);
		return;
	}
	if (sys_seccomp_notify(launch->listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
		/* ENOENT: its thread was killed since. Anything else would repeat for ever. */
		if (errno != ENOENT && errno != EINTR)
			give_up(launch);
		return;
	}
	if (launch->rest != 0 && now_ns() < launch->rest) {
		held = call;
		holding = 1;
	} else {
		answer_call(launch, &call);
	}
}
