/* Messages over SOCK_SEQPACKET pairs and records on a pipe.  Run by: supervisor, init, job, relay. */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io.h"

int message_send(int socket, const struct hb_message *message)
{
	ssize_t sent;

	do
		sent = send(socket, message, sizeof(*message), MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)sizeof(*message) ? 0 : -1;
}

static int receive(int socket, struct hb_message *message, void *control, size_t control_size,
		   struct msghdr *header)
{
	static struct iovec vector; /* one thread, never two receives at once */
	ssize_t got;

	vector = (struct iovec){message, sizeof(*message)};
	memset(header, 0, sizeof(*header));
	header->msg_iov = &vector;
	header->msg_iovlen = 1;
	header->msg_control = control;
	header->msg_controllen = (socklen_t)control_size;
	/* ECONNRESET, said once: the other end closed with something unread. What it had written
	 * before still waits. */
	do
		got = recvmsg(socket, header, MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got <= 0)
		return (int)got;
	/* What is longer is cut to this size. */
	if (got != (ssize_t)sizeof(*message) || (header->msg_flags & MSG_TRUNC) != 0) {
		errno = EPROTO;
		return -1;
	}
	return 1;
}

int message_receive(int socket, struct hb_message *message)
{
	struct msghdr header;

	return receive(socket, message, NULL, 0, &header);
}

int message_receive_from(int socket, struct hb_message *message, pid_t *sender)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct msghdr header;
	int got = receive(socket, message, control.bytes, sizeof(control.bytes), &header);

	if (got <= 0)
		return got;

	struct cmsghdr *part = CMSG_FIRSTHDR(&header);
	struct ucred who;

	if (part == NULL || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) {
		errno = EPROTO;
		return -1;
	}
	memcpy(&who, CMSG_DATA(part), sizeof(who));
	*sender = who.pid;
	return 1;
}

int descriptors_send(int socket, const void *data, size_t size, const int *descriptors, size_t count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * HB_SENT_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct iovec vector = {(void *)(uintptr_t)data, size};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes};
	ssize_t sent;

	if (count > HB_SENT_MAX) {
		errno = E2BIG;
		return -1;
	}
	header.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * count);

	struct cmsghdr *part = CMSG_FIRSTHDR(&header);

	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(part), descriptors, sizeof(int) * count);
	do
		sent = sendmsg(socket, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)size ? 0 : -1;
}

int descriptor_send(int socket, enum hb_message_type type, int descriptor)
{
	struct hb_message message = {.type = type};

	return descriptors_send(socket, &message, sizeof(message), &descriptor, 1);
}

int message_receive_descriptor(int socket, struct hb_message *message, int *descriptor)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr header;
	int got = receive(socket, message, control.bytes, sizeof(control.bytes), &header);

	*descriptor = -1;
	if (got <= 0)
		return got;

	struct cmsghdr *part = CMSG_FIRSTHDR(&header);

	if (part != NULL && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
	    part->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(descriptor, CMSG_DATA(part), sizeof(*descriptor));
	return 1;
}

int descriptor_receive(int socket)
{
	struct hb_message message;
	int descriptor;

	int got = message_receive_descriptor(socket, &message, &descriptor);

	if (got < 0 || descriptor >= 0)
		return got < 0 ? -1 : descriptor;
	/* A GO brings one: there was no room for it. */
	errno = got == 0 ? ECONNRESET : message.type == HB_GO ? EMFILE : EPROTO;
	return -1;
}

int record_write(int fd, enum hb_record_type type, const void *head, size_t head_size,
		 const void *tail, size_t tail_size)
{
	uint32_t prefix[2] = {(uint32_t)type, (uint32_t)(head_size + tail_size)};

	if (fd < 0)
		return 0;
	if (write_whole(fd, prefix, sizeof(prefix)) < 0 || write_whole(fd, head, head_size) < 0)
		return -1;
	return tail_size > 0 ? write_whole(fd, tail, tail_size) : 0;
}
