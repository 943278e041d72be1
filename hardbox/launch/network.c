/* The job's own network: sockets in it that a process outside serves, and addresses that lead to them.
 *
 * A socket stays in the network namespace that it was made in, whoever holds it. So init makes the
 * sockets, and a process outside has them, the keeper (hardbox/net): of network mode "allow" the broker, who
 * accepts on them, so that nothing of ours runs inside; of mode "bridge" one that only learns by its
 * socket which network is the job's.
 *
 * Run by: init (network_step), the supervisor (all else). */
#include "network.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "io.h"
#include "wire.h"

/* The kernel cuts it to net.core.somaxconn. */
#define BACKLOG 4096
/* lo is the first interface of every network namespace. */
#define LO_INDEX 1u
#define IPV4_SIZE 4u
#define IPV6_SIZE 16u

int network_check(struct hb_network *network, const struct hb_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		if (plan->steps[i].kind != HB_LISTEN)
			continue;
		network->left++;
		network->needed |= plan->steps[i].field[0].number == HB_LISTEN_BARE;
	}
	if (network->left > 0 && network->fd < 0) {
		errno = ENOTCONN;
		return -1;
	}
	return 0;
}

int network_pass(struct hb_network *network, int socket)
{
	if (network->left == 0 || network->fd < 0) {
		errno = EPROTO;
		return closing(-1, socket);
	}
	network->left--;
	return closing(descriptor_send(network->fd, HB_SOCKET, socket), socket);
}

int network_ask(struct hb_network *network)
{
	struct hb_message ready = {.type = HB_HELLO};

	network->asked = 1;
	return message_send(network->fd, &ready);
}

int network_hear(struct hb_network *network)
{
	struct hb_message message;
	int got = message_receive(network->fd, &message);

	if (got == 1 && network->asked && message.type == HB_GO) {
		network->asked = 0;
		network->served = 1;
		return HB_NETWORK_SERVED;
	}
	/* It may have to wait before we ask, too. */
	if (got == 1 && !network->served && message.type == HB_QUEUED)
		return HB_NETWORK_QUEUED;
	/* It has these to say; one that says more is none of ours. */
	if (got >= 0)
		errno = got == 0 ? ECONNRESET : EPROTO;

	int error = errno;

	(void)close(network->fd);
	network->fd = -1;
	errno = error;
	return -1;
}

/* The address that a step names, with a port; its size, 0 for one that is none. */
static socklen_t address_of(const struct hb_field *bytes, uint16_t port, struct sockaddr_storage *room)
{
	memset(room, 0, sizeof(*room));
	if (bytes->length == IPV4_SIZE) {
		struct sockaddr_in *four = (struct sockaddr_in *)room;

		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, bytes->bytes, IPV4_SIZE);
		return sizeof(*four);
	}
	if (bytes->length == IPV6_SIZE) {
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)room;

		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		memcpy(&six->sin6_addr, bytes->bytes, IPV6_SIZE);
		return sizeof(*six);
	}
	return 0;
}

/* Make it ready: :: takes IPv4 too. */
static int prepare(int fd, uint64_t how, const struct sockaddr_storage *address, socklen_t size)
{
	int off = 0;

	if (how == HB_LISTEN_BARE)
		return 0;
	if (address->ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -1;
	if (bind(fd, (const struct sockaddr *)address, size) < 0)
		return -1;
	return how == HB_LISTEN_TCP ? listen(fd, BACKLOG) : 0;
}

static int step_listen(const struct hb_init *init, const struct hb_step *step)
{
	struct sockaddr_storage address;
	uint64_t how = step->field[0].number;
	socklen_t size = address_of(&step->field[1], (uint16_t)step->field[2].number, &address);

	if (size == 0 || step->field[2].number > UINT16_MAX || how < HB_LISTEN_TCP || how > HB_LISTEN_BARE) {
		errno = EINVAL;
		return -1;
	}

	int type = how == HB_LISTEN_UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(address.ss_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (prepare(fd, how, &address, size) < 0)
		return closing(-1, fd);
	return closing(descriptor_send(init->control, HB_SOCKET, fd), fd);
}

/* What asks for a route, as far as it is filled (rtnetlink(7)). */
struct route_request {
	struct nlmsghdr head;
	struct rtmsg route;
	unsigned char attributes[RTA_LENGTH(IPV6_SIZE) + RTA_LENGTH(sizeof(uint32_t))];
};

struct route_answer {
	struct nlmsghdr head;
	struct nlmsgerr error;
};

static int ask_kernel(int fd, const void *request, size_t size)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	unsigned char room[256];
	struct route_answer answer;

	if (sendto(fd, request, size, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -1;

	ssize_t got = recv(fd, room, sizeof(room), 0);

	if (got < 0)
		return -1;
	if ((size_t)got < sizeof(answer)) {
		errno = EPROTO;
		return -1;
	}
	memcpy(&answer, room, sizeof(answer));
	if (answer.head.nlmsg_type != NLMSG_ERROR) {
		errno = EPROTO;
		return -1;
	}
	errno = -answer.error.error;
	return answer.error.error == 0 ? 0 : -1;
}

static void add_attribute(struct route_request *request, unsigned short type, const void *value,
			  size_t size)
{
	struct rtattr head = {.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type};
	unsigned char *at = (unsigned char *)request + request->head.nlmsg_len;

	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), value, size);
	/* Sizes here are multiples of 4, to which attributes are aligned. */
	request->head.nlmsg_len += head.rta_len;
}

/* All addresses of a prefix are this machine's own (type RTN_LOCAL), and so lead to its sockets. */
static int step_local_route(const struct hb_step *step)
{
	const struct hb_field *bytes = &step->field[0];
	uint64_t bits = step->field[1].number;
	uint32_t lo = LO_INDEX;

	if ((bytes->length != IPV4_SIZE && bytes->length != IPV6_SIZE) || bits > bytes->length * 8u) {
		errno = EINVAL;
		return -1;
	}

	struct route_request request = {
	    .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
		     .nlmsg_type = RTM_NEWROUTE,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
	    .route = {.rtm_family = bytes->length == IPV4_SIZE ? AF_INET : AF_INET6,
		      .rtm_dst_len = (unsigned char)bits,
		      .rtm_table = RT_TABLE_LOCAL,
		      .rtm_protocol = RTPROT_STATIC,
		      .rtm_scope = RT_SCOPE_HOST,
		      .rtm_type = RTN_LOCAL}};

	add_attribute(&request, RTA_DST, bytes->bytes, bytes->length);
	add_attribute(&request, RTA_OIF, &lo, sizeof(lo));

	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -1 : closing(ask_kernel(fd, &request, request.head.nlmsg_len), fd);
}

int network_step(const struct hb_init *init, const struct hb_step *step)
{
	return step->kind == HB_LISTEN ? step_listen(init, step) : step_local_route(step);
}
