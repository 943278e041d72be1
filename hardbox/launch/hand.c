/* The second pair of hands: a child of init that makes the network namespace while init builds the root.
 * The kernel needs as long for the one as for the other. Detaching the host's root, which takes long too, is
 * no work for it: until that is done, ".." of the new root leads there.
 *
 * It is gone before the filter is loaded, so nothing of the job's ever runs beside it. Where there can be no
 * such process init does the same by itself: nothing depends on it but the time.
 *
 * Run by: init, until its CLOSE_FDS step. */
#include "hand.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sched.h>
#include <linux/sockios.h>

#include "io.h"
#include "newmount.h"
#include "sys.h"
#include "wire.h"

#define NUMBER 300 /* inside: that the job is number 2 is nothing to promise, but people look at it */

/* A descriptor of the network namespace that we are in, without /proc. */
static int open_network(void)
{
	int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return probe < 0 ? -1 : closing(ioctl(probe, SIOCGSKNS), probe);
}

static _Noreturn void help(int socket)
{
	/* Init then makes it by itself, and says why if that fails. */
	struct hb_message message = {.type = HB_FAILED};
	int made = unshare(CLONE_NEWNET) < 0 ? -1 : open_network();

	_exit((made < 0 ? message_send(socket, &message) : descriptor_send(socket, HB_GO, made)) < 0 ? 1 : 0);
}

void hand_start(struct hb_hand *hand, int network)
{
	pid_t number = NUMBER;
	struct clone_args args = {.set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
	int ends[2];

	*hand = (struct hb_hand){.socket = -1, .network = network};
	if (!network || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	hand->pid = sys_clone3(&args);
	if (hand->pid == 0) {
		(void)close(ends[0]);
		help(ends[1]);
	}
	(void)close(ends[1]);
	if (hand->pid > 0)
		hand->socket = ends[0];
	else
		(void)close(ends[0]);
}

int hand_network(struct hb_hand *hand)
{
	if (!hand->network)
		return 0;

	int made = hand->socket < 0 ? -1 : descriptor_receive(hand->socket);

	if ((made < 0 ? unshare(CLONE_NEWNET) : closing(setns(made, CLONE_NEWNET), made)) < 0)
		return -1;
	hand->network = 0;
	return 0;
}

int hand_end(struct hb_hand *hand)
{
	if (hand->socket < 0)
		return 0;
	while (waitpid(hand->pid, NULL, __WALL) < 0)
		if (errno != EINTR)
			return -1;
	(void)close(hand->socket);
	hand->socket = -1;
	return 0;
}
