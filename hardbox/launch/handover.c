/* How a job comes to a member of a pool, and what it may bring.
 *
 * What stands in a hand-over is hostile bytes, as every plan: a mistake of the owner's must not turn
 * into a job that runs without a wall of its member's.
 *
 * Run by: the supervisor, init and the job of a member. */
#include "hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io.h"
#include "wire.h"

int handover_send(int socket, int32_t value, const int descriptor[HB_HANDED])
{
	struct hb_message message = {.type = HB_GO, .value = value};

	return descriptors_send(socket, &message, sizeof(message), descriptor, HB_HANDED);
}

int handover_receive(int socket, struct hb_handover *got)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * HB_HANDED)];
		struct cmsghdr align;
	} control;
	struct hb_message message;
	struct iovec vector = {&message, sizeof(message)};
	struct msghdr header = {.msg_iov = &vector,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	ssize_t size;

	do
		size = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size <= 0)
		return (int)size;

	struct cmsghdr *part = CMSG_FIRSTHDR(&header);

	if (size != (ssize_t)sizeof(message) || message.type != HB_GO ||
	    (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || part == NULL ||
	    part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
	    part->cmsg_len != CMSG_LEN(sizeof(int) * HB_HANDED)) {
		errno = EPROTO; /* what came with it is closed with us, which is at once */
		return -1;
	}
	got->value = message.value;
	memcpy(got->descriptor, CMSG_DATA(part), sizeof(got->descriptor));
	return 1;
}

int handover_decode(int memory, int whole, struct hb_plan *brought)
{
	static unsigned char *bytes; /* a process takes one job, and its steps point into them */
	struct stat found;
	size_t used = 0;

	if (fstat(memory, &found) < 0)
		return -1;
	if (!S_ISREG(found.st_mode) || found.st_size <= 0 || found.st_size > (off_t)HB_PLAN_MAX) {
		errno = EBADMSG;
		return -1;
	}

	size_t size = (size_t)found.st_size;

	bytes = malloc(size);
	if (bytes == NULL)
		return -1;
	/* By place: another process reads through the same open file. */
	while (used < size) {
		ssize_t got = pread(memory, bytes + used, size - used, (off_t)used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	if (used == size &&
	    (whole ? plan_decode(bytes, size, brought) : plan_decode_part(bytes, size, brought)) == 0)
		return 0;
	errno = EBADMSG;
	return -1;
}

int handover_streams(const int stream[3])
{
	for (int fd = 0; fd < 3; fd++)
		if (dup2(stream[fd], fd) < 0 || close(stream[fd]) < 0)
			return -1;
	return 0;
}

const char *hold_brings(const struct hb_plan *brought)
{
	uint32_t arguments = 0;
	uint32_t directories = 0;

	for (uint32_t i = 0; i < brought->count; i++) {
		switch (brought->steps[i].kind) {
		case HB_ENV:
		case HB_SEARCH:
			break;
		case HB_ARG:
			arguments++;
			break;
		case HB_CHDIR:
			directories++;
			break;
		default:
			return "it brings a step that is none of a job's";
		}
	}
	return arguments > 0 && directories == 1 ? NULL : "it brings no command, or not one directory";
}

static int same_step(const struct hb_step *a, const struct hb_step *b)
{
	if (a->kind != b->kind)
		return 0;
	for (size_t i = 0; i < HB_FIELDS_MAX; i++)
		if (a->field[i].number != b->field[i].number ||
		    a->field[i].length != b->field[i].length ||
		    (a->field[i].length > 0 &&
		     memcmp(a->field[i].bytes, b->field[i].bytes, a->field[i].length) != 0))
			return 0;
	return 1;
}

static uint32_t phase_begins(const struct hb_plan *plan, enum hb_phase phase)
{
	uint32_t at = 0;

	while (at < plan->count && plan->steps[at].phase < phase)
		at++;
	return at;
}

/* A tree is attached there, which is not among those that the member has. */
static int attached(const struct hb_plan *job, const struct hb_plan *member, const char *dest)
{
	const struct hb_plan *plans[2] = {job, member};
	uint32_t count[2] = {0, 0};

	for (size_t p = 0; p < 2; p++)
		for (uint32_t i = 0; i < plans[p]->count; i++) {
			const struct hb_step *step = &plans[p]->steps[i];

			if ((step->kind == HB_BIND || step->kind == HB_ATTACH) &&
			    strcmp(step->field[1].string, dest) == 0)
				count[p]++;
		}
	return count[0] > count[1];
}

/* What may stand in the job's plan and not in the member's. */
static int job_may_add(const struct hb_plan *member, const struct hb_plan *job,
		       const struct hb_step *step)
{
	switch (step->kind) {
	case HB_MAKE_DIR:
	case HB_BIND:
	case HB_ATTACH:
		return 1;
	case HB_WRITE_FILE: /* a place for a file */
		return step->field[2].length == 0;
	case HB_LANDLOCK_PATH:
		return attached(job, member, step->field[0].string);
	default:
		return 0;
	}
}

uint32_t hold_resumes(const struct hb_plan *member, const struct hb_plan *job, uint32_t at)
{
	return phase_begins(job, HB_PHASE_INSIDE) + (at - phase_begins(member, HB_PHASE_INSIDE));
}

const char *hold_fits(const struct hb_plan *member, const struct hb_plan *job, uint32_t at)
{
	uint32_t outside = phase_begins(member, HB_PHASE_DATA);
	uint32_t j = 0;

	if (at < phase_begins(member, HB_PHASE_INSIDE) || at > member->count)
		return "the hold point is not inside";
	for (; j < outside; j++)
		if (j >= job->count || !same_step(&member->steps[j], &job->steps[j]))
			return "a step outside is not the member's";
	for (; j < job->count && job->steps[j].phase == HB_PHASE_OUTSIDE; j++)
		if (job->steps[j].kind != HB_TREE)
			return "a step outside is not the member's";

	j = phase_begins(job, HB_PHASE_INSIDE);
	for (uint32_t m = phase_begins(member, HB_PHASE_INSIDE); m < member->count; m++, j++) {
		const struct hb_step *wanted = &member->steps[m];

		if (m >= at)
			while (j < job->count && !same_step(wanted, &job->steps[j]) &&
			       !(wanted->kind == HB_CHDIR && job->steps[j].kind == HB_CHDIR) &&
			       job_may_add(member, job, &job->steps[j]))
				j++;
		if (j >= job->count)
			return "a step inside is missing";
		/* Both have one: all that is drop and wall stands in the order of the floor. */
		if (wanted->kind == HB_CHDIR && job->steps[j].kind == HB_CHDIR)
			continue;
		if (!same_step(wanted, &job->steps[j]))
			return "a step inside is not the member's";
	}
	return j == job->count ? NULL : "it goes on behind the member's last step";
}
