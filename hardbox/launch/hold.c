/* Waiting for a job, and what is done when it has come.
 *
 * Run by: the supervisor (hold_ready, hold_event, hold_pass), init (hold_init) and the job (hold_job)
 * of a member of a pool. */
#include "hold.h"

#include <errno.h>
#include <unistd.h>

#include "cpus.h"
#include "identity.h"
#include "io.h"
#include "launch.h"
#include "sys.h"
#include "trees.h"
#include "wire.h"

int hold_exists(const struct hb_plan *member, uint32_t at)
{
	return at > 0 && at < member->count && member->steps[at - 1].phase == HB_PHASE_INSIDE &&
	       member->steps[at].phase == HB_PHASE_INSIDE;
}

int hold_last(const struct launch *launch)
{
	return launch->hold.member && launch->hold.at == 0;
}

int hold_ready(struct launch *launch, pid_t job)
{
	struct hb_message ready = {.type = HB_HELLO};

	launch->hold.ready = 1;
	launch->hold.job = job;
	return message_send(launch->hold.fd, &ready);
}

/* The member was pinned when it was made; where it is best to run is known now. A failure leaves
 * it where it was, which is no fewer CPUs than the plan gives. */
static void pin(const struct launch *launch)
{
	const struct hb_step *step = plan_find(launch->plan, HB_CPUS);

	if (step != NULL && step->field[0].number > 0 && launch->hold.job > 0)
		(void)cpus_keep(launch->hold.job, step->field[0].number);
}

/* The caller's 0-2 become ours, as in any launch, and are judged as there. */
static int take_streams(struct launch *launch, const int stream[3])
{
	struct hb_streams *streams = &launch->relay.streams;

	if (handover_streams(stream) < 0)
		return blame(launch, 0, errno);
	if (prepare_streams(launch) < 0)
		return -1;
	/* The sandbox's own terminal would have to be there before the job is known. */
	if (streams->terminals != 0)
		return blame(launch, plan_index(launch->plan, HB_STDIO), ENOTTY);
	for (int fd = 0; fd < 3; fd++)
		launch->hold.passed[fd + 1] =
			(streams->relayed >> fd & 1u) != 0 ? streams->job[fd] : fd;
	return 0;
}

/* Give init the job's plan and what the plan needs of us; `trees` of them init has. */
static int pass_to_init(struct launch *launch, uint32_t trees)
{
	struct hb_hold *hold = &launch->hold;
	uint32_t step = 0;

	launch->plan = &hold->brought;
	if (handover_send(launch->control, 0, hold->passed) < 0)
		return blame(launch, 0, errno);
	streams_leave(&launch->relay.streams);
	(void)close(hold->passed[0]);
	if (trees_send(launch->plan, launch->lease, launch->control, trees, &step) < 0)
		return blame_init(launch, step, errno);
	return 0;
}

/* The job has come: from here on its time counts. */
static int begin(struct launch *launch, const struct hb_handover *got)
{
	struct hb_hold *hold = &launch->hold;
	const char *why;

	launch->began = now_ns();
	launch->limits.asked = (got->value & HB_HAND_SAMPLES) != 0;
	hold->passed[0] = got->descriptor[0];
	if (handover_decode(got->descriptor[0], hold->at != 0, &hold->brought) < 0)
		return blame(launch, 0, errno);
	why = hold->at == 0 ? hold_brings(&hold->brought)
			    : hold_fits(launch->plan, &hold->brought, hold->at);
	if (why != NULL)
		return blame(launch, 0, EBADMSG);
	if (take_streams(launch, got->descriptor + 1) < 0)
		return -1;
	if (hold->at != 0)
		return pass_to_init(launch, trees_of(launch->plan));
	pin(launch);
	return 0;
}

void hold_event(struct launch *launch)
{
	struct hb_hold *hold = &launch->hold;
	struct hb_handover got;
	int heard = handover_receive(hold->fd, &got);

	/* Gone, or it speaks out of turn: a second job is never taken. */
	if (heard != 1 || hold->handed || !hold->ready) {
		launch->cause = HB_CAUSE_CALLER;
		if (!launch->hello)
			(void)blame(launch, 0, heard < 0 ? errno : heard == 1 ? EPROTO : EINTR);
		(void)close(hold->fd);
		hold->fd = -1;
		kill_all(launch);
		return;
	}
	hold->handed = 1;
	if (begin(launch, &got) < 0) {
		kill_all(launch);
		return;
	}
	if (hold_last(launch)) {
		read_back_pid(launch, hold->job);
		watch_go(launch);
	}
}

int hold_pass(struct launch *launch)
{
	int result = handover_send(launch->job, 0, launch->hold.passed);

	streams_leave(&launch->relay.streams);
	return closing(result, launch->hold.passed[0]);
}

int hold_init(struct hb_init *init, uint32_t at, struct hb_plan *job, struct hb_command *command,
	      uint32_t *step)
{
	struct hb_message ready = {.type = HB_HELLO};
	struct hb_handover got;

	*step = 0;
	if (message_send(init->control, &ready) < 0)
		return -1;
	if (handover_receive(init->control, &got) != 1)
		return -1;
	if (handover_decode(got.descriptor[0], 1, job) < 0)
		return -1;
	/* Seen by the supervisor too; but these are the bytes that are carried out. */
	if (hold_fits(init->plan, job, at) != NULL) {
		errno = EBADMSG;
		return -1;
	}
	if (handover_streams(got.descriptor + 1) < 0 || close(got.descriptor[0]) < 0)
		return -1;
	init->plan = job;
	if (trees_receive(init, step) < 0)
		return -1;
	return command_collect(command, job, NULL);
}

int hold_job(const struct hb_plan *member, int socket, struct hb_command *command, uint32_t *step)
{
	struct hb_handover got;
	struct hb_plan brought;

	*step = 0;
	if (handover_receive(socket, &got) != 1 || handover_decode(got.descriptor[0], 0, &brought) < 0)
		return -1;
	if (hold_brings(&brought) != NULL) {
		errno = EBADMSG;
		return -1;
	}
	if (handover_streams(got.descriptor + 1) < 0 || close(got.descriptor[0]) < 0 ||
	    command_collect(command, &brought, NULL) < 0)
		return -1;
	*step = plan_index(member, HB_CHDIR);
	return chdir(plan_find(&brought, HB_CHDIR)->field[0].string);
}
