/* The last wall: the system call filter, and the listener that tells the supervisor what it
 * refuses.
 *
 * A call that the filter tells of waits for the supervisor's answer. Between loading the filter and
 * handing its listener over nobody would answer, so exactly one call lies between: sendmsg(2),
 * which must be allowed whatever its arguments are (`hands_over`). From then on the supervisor
 * answers, init's own calls too; if it is gone the kernel does, with ENOSYS.
 *
 * Run by: init, last of its steps. */
#include "filter.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "bpf.h"
#include "io.h"
#include "sys.h"
#include "wire.h"

#define NUMBER_AND_ARCHITECTURE 3u /* words 0 and 1 */

static int hands_over(const struct hb_step *step)
{
	struct seccomp_data data = {.nr = SYS_sendmsg, .arch = HB_ARCHITECTURE};
	struct hb_answer answer;

	return bpf_run(step->field[0].bytes, step->field[0].length, &data, &answer) == 0 &&
	       answer.action == SECCOMP_RET_ALLOW &&
	       (answer.looked & ~NUMBER_AND_ARCHITECTURE) == 0;
}

int filter_load(const struct hb_init *init, const struct hb_step *step)
{
	const unsigned char *program = step->field[0].bytes;
	size_t size = step->field[0].length;
	size_t count = size / sizeof(struct sock_filter);

	if (size % sizeof(struct sock_filter) != 0 || count == 0 || count > BPF_MAXINSNS) {
		errno = EINVAL;
		return -1;
	}
	if (step->field[1].number == 0)
		return sys_seccomp_filter(program, (unsigned short)count, 0) < 0 ? -1 : 0;
	if (!hands_over(step)) {
		errno = ENOTSUP;
		return -1;
	}

	/* Killable: a signal that does not end the job leaves a call that is being answered alone.
	 * Before Linux 5.19 it is begun anew, and told of twice. */
	int listener = sys_seccomp_filter(program, (unsigned short)count,
					  SECCOMP_FILTER_FLAG_NEW_LISTENER |
					      SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);

	/* Nothing weaker: the same program, and the same listener. */
	if (listener < 0 && errno == EINVAL)
		listener = sys_seccomp_filter(program, (unsigned short)count,
					      SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (listener < 0)
		return -1;
	/* Closed before the job is forked: whoever holds a listener can answer for the filter. */
	return closing(descriptor_send(init->control, HB_LISTENER, listener), listener);
}
