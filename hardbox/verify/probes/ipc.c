/* Attempts on System V and POSIX IPC and on keyrings, and the process that holds the canaries.
 *
 * Run by: main.c. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define USER_KEYRING -4
#define JOIN_SESSION 1
#define SEARCH 10
#define READ_KEY 11
#define INVALIDATE 21
#define PATIENCE_SECONDS 600
#define SCANNED 256

/* hold KEY NAME TOKEN TERMINAL: canaries in IPC and in the caller's keyring, and a session on a
 * terminal, until stdin ends. Prints "shm ID", "sem ID", "msg ID", "key SERIAL", "ready". */
static int try_hold(int argc, char **argv)
{
	key_t key = (key_t)number(argv[1]);
	int shm = shmget(key, PAGE, IPC_CREAT | 0666);
	int sem = semget(key, 1, IPC_CREAT | 0666);
	int msg = msgget(key, IPC_CREAT | 0666);
	struct mq_attr few = { .mq_maxmsg = 1, .mq_msgsize = 64 };
	mqd_t queue = mq_open(argv[2], O_CREAT | O_RDWR, 0666, &few);
	long serial = syscall(SYS_add_key, "user", argv[2], argv[3], strlen(argv[3]), USER_KEYRING);
	char *memory = shm < 0 ? NULL : shmat(shm, NULL, 0);
	char byte;

	(void)argc;
	alarm(PATIENCE_SECONDS);
	if (memory != NULL && memory != (char *)-1)
		snprintf(memory, PAGE, "%s", argv[3]);
	setsid();
	if (argv[4][0] == '/') {
		int terminal = open(argv[4], O_RDWR);

		if (terminal >= 0)
			ioctl(terminal, TIOCSCTTY, 0);
	}
	printf("shm %d\nsem %d\nmsg %d\nkey %ld\nready\n", shm, sem, msg, serial);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	shmctl(shm, IPC_RMID, NULL);
	semctl(sem, 0, IPC_RMID);
	msgctl(msg, IPC_RMID, NULL);
	if (queue != (mqd_t)-1)
		mq_unlink(argv[2]);
	if (serial > 0)
		syscall(SYS_keyctl, INVALIDATE, serial, 0, 0, 0);
	return 0;
}

static int attach(int id)
{
	char *memory = id < 0 ? (char *)-1 : shmat(id, NULL, SHM_RDONLY);

	if (memory == (char *)-1)
		return errno;
	printf("%.200s\n", memory);
	return 0;
}

/* shm KEY and shm-id ID */
static int try_shm(int argc, char **argv)
{
	(void)argc;
	return attach(shmget((key_t)number(argv[1]), 0, 0));
}

static int try_shm_id(int argc, char **argv)
{
	(void)argc;
	return attach((int)number(argv[1]));
}

/* shm-scan: the key of every segment that there is */
static int try_shm_scan(int argc, char **argv)
{
	struct shmid_ds found;
	int error = EPERM;

	(void)argc;
	(void)argv;
	for (int index = 0; index < SCANNED; index++)
		if (shmctl(index, SHM_STAT, &found) >= 0)
			printf("key %d\n", found.shm_perm.__key);
		else if (errno != EINVAL)
			error = errno;
		else
			error = 0;
	return error;
}

/* sem KEY and sem-id ID */
static int try_sem(int argc, char **argv)
{
	int id = semget((key_t)number(argv[1]), 0, 0);

	(void)argc;
	return id < 0 || semctl(id, 0, GETVAL) < 0 ? errno : 0;
}

static int try_sem_id(int argc, char **argv)
{
	(void)argc;
	return semctl((int)number(argv[1]), 0, GETVAL) < 0 ? errno : 0;
}

/* msg KEY and msg-id ID */
static int try_msg(int argc, char **argv)
{
	(void)argc;
	return msgget((key_t)number(argv[1]), 0) < 0 ? errno : 0;
}

static int try_msg_id(int argc, char **argv)
{
	struct msqid_ds found;

	(void)argc;
	return msgctl((int)number(argv[1]), IPC_STAT, &found) < 0 ? errno : 0;
}

/* mq NAME */
static int try_mq(int argc, char **argv)
{
	(void)argc;
	return mq_open(argv[1], O_RDONLY) == (mqd_t)-1 ? errno : 0;
}

/* key-search KEYRING NAME, key-read SERIAL, key-request NAME, key-session */
static int try_key_search(int argc, char **argv)
{
	(void)argc;
	return syscall(SYS_keyctl, SEARCH, (long)number(argv[1]), "user", argv[2], 0) < 0 ? errno : 0;
}

static int try_key_read(int argc, char **argv)
{
	char text[128] = "";
	long got = syscall(SYS_keyctl, READ_KEY, (long)number(argv[1]), text, sizeof(text) - 1, 0);

	(void)argc;
	if (got < 0)
		return errno;
	printf("%s\n", text);
	return 0;
}

static int try_key_request(int argc, char **argv)
{
	(void)argc;
	return syscall(SYS_request_key, "user", argv[1], NULL, 0) < 0 ? errno : 0;
}

static int try_key_session(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return syscall(SYS_keyctl, JOIN_SESSION, NULL, 0, 0, 0) < 0 ? errno : 0;
}

static int try_key_add(int argc, char **argv)
{
	(void)argc;
	/* -2: the keyring of this process, which ends with it */
	return syscall(SYS_add_key, "user", argv[1], "x", 1, -2) < 0 ? errno : 0;
}

const struct attempt ipc_attempts[] = {
	{ "hold", 4, try_hold },
	{ "shm", 1, try_shm },
	{ "shm-id", 1, try_shm_id },
	{ "shm-scan", 0, try_shm_scan },
	{ "sem", 1, try_sem },
	{ "sem-id", 1, try_sem_id },
	{ "msg", 1, try_msg },
	{ "msg-id", 1, try_msg_id },
	{ "mq", 1, try_mq },
	{ "key-search", 2, try_key_search },
	{ "key-read", 1, try_key_read },
	{ "key-request", 1, try_key_request },
	{ "key-session", 0, try_key_session },
	{ "key-add", 1, try_key_add },
	{ NULL, 0, NULL },
};
