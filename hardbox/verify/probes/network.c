/* Attempts on the network: addresses of the host, its sockets, its interfaces.
 *
 * Run by: main.c. Nothing is sent to another machine. */
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 1500
#define MOST_INTERFACES 64
#define MARK "hardbox-was-here"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

/* 4 ADDRESS PORT, 6 ADDRESS PORT, path PATH, abstract NAME; gives the length, 0 if it is none */
static socklen_t read_address(int argc, char **argv, union address *to)
{
	size_t length = argc > 1 ? strlen(argv[1]) : 0;

	memset(to, 0, sizeof(*to));
	if (argc > 2 && strcmp(argv[0], "4") == 0) {
		to->v4.sin_family = AF_INET;
		to->v4.sin_port = htons((uint16_t)number(argv[2]));
		return inet_pton(AF_INET, argv[1], &to->v4.sin_addr) == 1 ? sizeof(to->v4) : 0;
	}
	if (argc > 2 && strcmp(argv[0], "6") == 0) {
		to->v6.sin6_family = AF_INET6;
		to->v6.sin6_port = htons((uint16_t)number(argv[2]));
		return inet_pton(AF_INET6, argv[1], &to->v6.sin6_addr) == 1 ? sizeof(to->v6) : 0;
	}
	if (length == 0 || length >= sizeof(to->local.sun_path) - 1)
		return 0;
	to->local.sun_family = AF_UNIX;
	if (strcmp(argv[0], "path") == 0) {
		memcpy(to->local.sun_path, argv[1], length);
		return sizeof(to->local);
	}
	memcpy(to->local.sun_path + 1, argv[1], length);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

/* connect stream|datagram ADDRESS...: connects and sends a mark */
static int try_connect(int argc, char **argv)
{
	int type = strcmp(argv[1], "stream") == 0 ? SOCK_STREAM : SOCK_DGRAM;
	union address to;
	socklen_t length = read_address(argc - 2, argv + 2, &to);
	int error = 0;
	socklen_t size = sizeof(error);
	int fd;

	if (length == 0)
		return MISUSE;
	fd = socket(to.any.sa_family, type | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	if (connect(fd, &to.any, length) < 0) {
		struct pollfd ready = { fd, POLLOUT, 0 };

		if (errno != EINPROGRESS)
			return errno;
		if (poll(&ready, 1, PATIENCE_MS) <= 0)
			return ETIMEDOUT;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0)
			return error != 0 ? error : errno;
	}
	return send(fd, MARK, sizeof(MARK), MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* send stream|datagram FLAGS ADDRESS...: sendto without connect; 0x20000000 is MSG_FASTOPEN */
static int try_send(int argc, char **argv)
{
	int type = strcmp(argv[1], "stream") == 0 ? SOCK_STREAM : SOCK_DGRAM;
	union address to;
	socklen_t length = read_address(argc - 3, argv + 3, &to);
	int fd;

	if (length == 0)
		return MISUSE;
	fd = socket(to.any.sa_family, type, 0);
	if (fd < 0)
		return errno;
	return sendto(fd, MARK, sizeof(MARK), (int)number(argv[2]) | MSG_NOSIGNAL, &to.any, length) < 0 ?
		       errno :
		       0;
}

/* listen ADDRESS...: a service of the job's own at an address of the host */
static int try_listen(int argc, char **argv)
{
	union address at;
	socklen_t length = read_address(argc - 1, argv + 1, &at);
	int fd = length == 0 ? -1 : socket(at.any.sa_family, SOCK_STREAM, 0);

	if (fd < 0)
		return length == 0 ? MISUSE : errno;
	if (bind(fd, &at.any, length) < 0 || listen(fd, 1) < 0)
		return errno;

	char network[64] = "";

	/* Whose network it is: nobody comes to one that the job has for itself. */
	if (readlink("/proc/self/ns/net", network, sizeof(network) - 1) < 0)
		return 0;
	printf("%s\n", network);
	return 0;
}

static int ask_route(void *request, size_t size)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (fd < 0 || sendto(fd, request, size, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -1;
	return fd;
}

static void print_link(struct nlmsghdr *message)
{
	struct ifinfomsg *link = NLMSG_DATA(message);
	int left = (int)IFLA_PAYLOAD(message);

	for (struct rtattr *row = IFLA_RTA(link); RTA_OK(row, left); row = RTA_NEXT(row, left))
		if (row->rta_type == IFLA_IFNAME)
			printf("%s\n", (char *)RTA_DATA(row));
}

/* interfaces netlink|ioctl: one name a line */
static int by_netlink(void)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} request = { { sizeof(request), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
		      { .ifi_family = AF_UNSPEC } };
	static char answer[65536];
	int fd = ask_route(&request, sizeof(request));
	ssize_t got;

	if (fd < 0)
		return errno;
	while ((got = recv(fd, answer, sizeof(answer), 0)) > 0) {
		struct nlmsghdr *message = (struct nlmsghdr *)answer;

		for (; NLMSG_OK(message, got); message = NLMSG_NEXT(message, got)) {
			if (message->nlmsg_type == NLMSG_DONE)
				return 0;
			if (message->nlmsg_type == NLMSG_ERROR)
				return -((struct nlmsgerr *)NLMSG_DATA(message))->error;
			print_link(message);
		}
	}
	return errno;
}

static int try_interfaces(int argc, char **argv)
{
	int fd;

	(void)argc;
	if (strcmp(argv[1], "netlink") == 0)
		return by_netlink();
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (fd < 0)
		return errno;
	for (int index = 1; index < MOST_INTERFACES; index++) {
		struct ifreq row = { .ifr_ifindex = index };

		if (ioctl(fd, SIOCGIFNAME, &row) == 0)
			printf("%s\n", row.ifr_name);
		else if (errno != ENODEV)
			return errno;
	}
	return 0;
}

/* add-address: 127.0.0.9 on lo by route netlink, which changes the network */
static int try_add_address(int argc, char **argv)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
		struct rtattr kind;
		unsigned char address[4];
	} request = { { sizeof(request), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0 },
		      { AF_INET, 32, 0, 0, 1 },
		      { RTA_LENGTH(4), IFA_LOCAL },
		      { 127, 0, 0, 9 } };
	char answer[4096];
	int fd = ask_route(&request, sizeof(request));

	(void)argc;
	(void)argv;
	if (fd < 0 || recv(fd, answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return errno;
	return -((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error;
}

const struct attempt network_attempts[] = {
	{ "connect", 3, try_connect },	   { "send", 4, try_send },
	{ "listen", 2, try_listen },	   { "interfaces", 1, try_interfaces },
	{ "add-address", 0, try_add_address }, { NULL, 0, NULL },
};
