/* The client's side of `hardbox serve` (hardbox/pool/server.py is the other).
 *
 *   server -> client   READY: what is sent now will be looked at. A server that does not run says nothing, and then
 *                      holds none of our descriptors in its queue
 *   client -> server   one message: magic, and four descriptors: a memory file and what stands on 0, 1, 2.
 *                      In the memory file texts, each with a NUL behind it: version, profile ("": none named),
 *                      working directory, number of arguments, the arguments, then the environment
 *   client -> server   SIGNAL: forward it to the job
 *   server -> client   TAKEN: from here on it may have run; DECLINED: decide as usual, with why; SAY: text for
 *                      stderr; END: the exit status
 *   (the client's end closes: its job ends. The server's end closes: so has the job)
 *
 * Run by: hardbox, for `run` with HARDBOX_SOCKET in the environment, before Python. */
#include "served.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../launch/io.h"
#include "../launch/wire.h"

#define ASK_MAGIC "HBXASK\x01"
#define EXIT_REFUSED 125
#define EXIT_LOST 137
#define SAY_MAX 65536
#define PATIENCE_S 10 /* for the server's first word, which it says before it looks for a sandbox */
#define FORWARDED SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH

enum word { TAKEN = 1, DECLINED, SAY, END, SIGNAL, READY };

struct message {
	uint32_t word;
	int32_t value;
};

extern char **environ;

static int refuse(const char *what, const char *path, const char *instead)
{
	(void)fprintf(stderr,
		      "hardbox: refused [HB673]: %s\n"
		      "  value    HARDBOX_SOCKET=%s\n"
		      "  why      another user's server would see what goes in, and say what came out\n"
		      "  instead  %s\n"
		      "  nothing was run\n",
		      what, path, instead);
	return EXIT_REFUSED;
}

/* Why the request is not sent: as usual, then. */
static int as_usual(const char *why)
{
	(void)fprintf(stderr, "hardbox: HARDBOX_SOCKET is not used: %s; decided here\n", why);
	return -1;
}

/* Where the command begins; 0 if anything but a profile is asked for. *profile: its name, or "". */
static int find_command(int argc, char **argv, const char **profile)
{
	static const char option[] = "--profile";
	int at = 2;

	*profile = "";
	if (at < argc && strncmp(argv[at], option, sizeof(option) - 1) == 0) {
		const char *rest = argv[at] + sizeof(option) - 1;

		if (*rest == '=')
			*profile = rest + 1;
		else if (*rest == '\0' && at + 1 < argc)
			*profile = argv[++at];
		/* Empty, or a path: Python has words for the one, and looks at the other. */
		if (**profile == '\0' || strchr(*profile, '/') != NULL)
			return 0;
		at++;
	}
	if (at < argc && strcmp(argv[at], "--") == 0)
		at++;
	else if (at < argc && argv[at][0] == '-')
		return 0;
	return at < argc ? at : 0;
}

static int put(int file, const char *text)
{
	return write_whole(file, text, strlen(text) + 1);
}

/* The memory file, or -1. */
static int request(const char *profile, char **command)
{
	int file = memfd_create("hardbox-ask", MFD_CLOEXEC);
	char *here = getcwd(NULL, 0);
	char count[16];
	int number = 0;
	int result = file < 0 ? -1 : 0;

	while (command[number] != NULL)
		number++;
	(void)snprintf(count, sizeof(count), "%d", number);
	if (result == 0 && (put(file, HB_VERSION) < 0 || put(file, profile) < 0 ||
			    put(file, here == NULL ? "" : here) < 0 || put(file, count) < 0))
		result = -1;
	for (int i = 0; i < number && result == 0; i++)
		result = put(file, command[i]);
	for (char **variable = environ; *variable != NULL && result == 0; variable++)
		result = put(file, *variable);
	free(here);
	if (result < 0 && file >= 0)
		(void)close(file);
	return result < 0 ? -1 : file;
}

/* Only ours, and only where nobody else can put another one in its place. */
static const char *distrust(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat found;
	char *slash;

	(void)snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (path[0] != '/' || slash == NULL)
		return "the path of the socket is not absolute";
	slash[slash == folder ? 1 : 0] = '\0';
	if (lstat(folder, &found) < 0)
		return NULL; /* to connect fails, too */
	if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid() || (found.st_mode & 077) != 0)
		return "the socket does not lie in a directory of yours that others may not enter";
	if (lstat(path, &found) == 0 && (!S_ISSOCK(found.st_mode) || found.st_uid != geteuid()))
		return "the socket is not yours, or is none";
	return NULL;
}

static int send_request(int server, int file)
{
	static const char magic[] = ASK_MAGIC;
	const int handed[] = {file, 0, 1, 2};

	return descriptors_send(server, magic, sizeof(magic), handed, sizeof(handed) / sizeof(handed[0]));
}

/* The next signal that was sent to us, 0: none. */
static int next_signal(int signals)
{
	struct signalfd_siginfo info;

	return read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

static void forward(int number, int server)
{
	struct message message = {.word = SIGNAL, .value = number};

	/* A server that is gone is heard of anyway. */
	(void)send(server, &message, sizeof(message), MSG_NOSIGNAL);
}

/* Want no more of a server that has not said a word; was it faster? Behind the shutdown it cannot say that it
 * takes the command, and then it does not run it. */
static int taken_meanwhile(int server)
{
	struct message message;

	return shutdown(server, SHUT_RDWR) < 0 ||
	       (recv(server, &message, sizeof(message), MSG_DONTWAIT) == (ssize_t)sizeof(message) &&
		message.word == TAKEN);
}

static int lost(void)
{
	(void)fputs("hardbox: the server ended; the sandbox was killed from outside\n", stderr);
	return EXIT_LOST;
}

/* Hear the server to its end. file: the request. */
static int attend(int server, int signals, int file)
{
	static char room[sizeof(struct message) + SAY_MAX + 1];
	int taken = 0;
	int asked = 0;

	for (;;) {
		struct pollfd events[2] = {{.fd = server, .events = POLLIN},
					   {.fd = signals, .events = POLLIN}};
		struct message message;
		int ready = poll(events, 2, taken ? -1 : PATIENCE_S * 1000);
		/* What the server has said comes first: it may be that it has taken the command. */
		int number = ready > 0 && events[0].revents == 0 ? next_signal(signals) : 0;
		ssize_t got;

		if (ready < 0 && errno != EINTR)
			return EXIT_LOST;
		if (!taken && (ready == 0 || (number != 0 && number != SIGWINCH))) {
			if (taken_meanwhile(server))
				return lost();
			if (number == 0)
				return as_usual("the server does not answer");
			(void)fputs("hardbox: interrupted\n  nothing was run\n", stderr);
			return 128 + number;
		}
		if (taken && number != 0)
			forward(number, server);
		if (ready <= 0 || events[0].revents == 0)
			continue;
		got = recv(server, room, sizeof(room) - 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < (ssize_t)sizeof(message))
			break;
		memcpy(&message, room, sizeof(message));
		room[got] = '\0';

		const char *text = room + sizeof(message);

		if (message.word == READY && !asked) {
			if (send_request(server, file) < 0)
				return as_usual(strerror(errno));
			asked = 1;
		} else if (message.word == TAKEN && asked)
			taken = 1;
		else if (message.word == SAY)
			(void)fputs(text, stderr);
		else if (message.word == END)
			return message.value & 0xff;
		else if (message.word == DECLINED && !taken)
			return text[0] == '\0' ? -1 : as_usual(text);
		else
			break;
	}
	if (!taken)
		return as_usual("the server did not take the command");
	return lost();
}

static int trusted(int server)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	return getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == geteuid();
}

int served_run(int argc, char **argv)
{
	static const int forwarded[] = {FORWARDED};
	const char *path = getenv("HARDBOX_SOCKET");
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *profile;
	const char *why;
	sigset_t listened;
	sigset_t before;
	int command;

	if (path == NULL || path[0] == '\0' || argc < 3 || strcmp(argv[1], "run") != 0)
		return -1;
	command = find_command(argc, argv, &profile);
	/* A terminal has to be there before the sandbox is. */
	if (command == 0 || isatty(0) || isatty(1) || isatty(2))
		return -1;
	if (strlen(path) >= sizeof(address.sun_path))
		return refuse("the path of the socket is too long", path, "a shorter path");
	why = distrust(path);
	if (why != NULL)
		return refuse(why, path, "the socket that your own hardbox serve made; or unset HARDBOX_SOCKET");
	memcpy(address.sun_path, path, strlen(path) + 1);

	int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	/* A server that does not accept has a queue that is full at some time. */
	if (server < 0 || setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(server, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		if (server >= 0)
			(void)close(server);
		return as_usual(error == ENOENT || error == ECONNREFUSED || error == EAGAIN
					? "no server answers there"
				: error == EPROTOTYPE ? "what listens there is no server of hardbox's"
						      : strerror(error));
	}
	if (!trusted(server)) {
		(void)close(server);
		return refuse("the server belongs to another user", path,
			      "a server of your own; or unset HARDBOX_SOCKET");
	}
	(void)sigemptyset(&listened);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		(void)sigaddset(&listened, forwarded[i]);

	int file = request(profile, argv + command);
	int signals = sigprocmask(SIG_BLOCK, &listened, &before) < 0
			  ? -1
			  : signalfd(-1, &listened, SFD_CLOEXEC | SFD_NONBLOCK);
	int status = -1;

	if (file < 0 || signals < 0)
		status = as_usual(strerror(errno));
	else
		status = attend(server, signals, file);
	if (file >= 0)
		(void)close(file);
	if (signals >= 0)
		(void)close(signals);
	(void)close(server);
	/* It cannot fail; and what has run has run. */
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}
