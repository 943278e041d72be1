/* A program without a resolver and without a word about proxies: asks 127.0.0.1 for a name by itself,
 * connects to the address that it is given, sends a line, ends its side, prints what comes back.
 *
 * Run by: tests/system/test_network_clients.py, linked statically. usage: static_client NAME PORT */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LINE "there and back\n"

static int fail(const char *what)
{
	perror(what);
	return EXIT_FAILURE;
}

static size_t query_for(const char *name, unsigned char *query)
{
	static const unsigned char head[12] = { 0x12, 0x67, 1, 0, 0, 1 };
	static const unsigned char tail[5] = { 0, 0, 1, 0, 1 };
	size_t at = sizeof(head);

	memcpy(query, head, sizeof(head));
	while (*name != 0) {
		size_t length = strcspn(name, ".");

		query[at++] = (unsigned char)length;
		memcpy(query + at, name, length);
		at += length;
		name += length + (name[length] == '.');
	}
	memcpy(query + at, tail, sizeof(tail));
	return at + sizeof(tail);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct timeval patience = { .tv_sec = 30 };
	unsigned char query[512], answer[512];
	char got[256];
	ssize_t size;
	int fd;

	if (argc != 3 || strlen(argv[1]) > 250)
		return 2;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return fail("name server");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, query, query_for(argv[1], query), 0) < 0 || (size = recv(fd, answer, sizeof(answer), 0)) < 16)
		return fail("name server");
	if ((answer[3] & 15) != 0) {
		printf("rcode %d\n", answer[3] & 15);
		return EXIT_FAILURE;
	}
	/* One record of type A is asked for and comes last. */
	memcpy(&to.sin_addr, answer + size - 4, 4);
	to.sin_port = htons((unsigned short)atoi(argv[2]));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return fail("connect");
	if (send(fd, LINE, strlen(LINE), MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0)
		return fail("send");
	while ((size = recv(fd, got, sizeof(got), 0)) > 0)
		fwrite(got, 1, (size_t)size, stdout);
	return size < 0 ? fail("receive") : EXIT_SUCCESS;
}
