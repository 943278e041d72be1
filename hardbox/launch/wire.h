/* What supervisor, init and job say to one another, and what the supervisor tells its caller.
 *
 *   supervisor -> init   GO          the id maps are written, trees follow; begin
 *   supervisor -> init   (trees)     one message of descriptors for each TREE step
 *   init -> supervisor   FAILED      a step failed: index, errno
 *   init -> supervisor   LISTENER    the filter's notifications, a descriptor
 *   init -> supervisor   TERMINAL    the caller's side of the job's terminal, a descriptor
 *   init -> supervisor   SOCKET      a socket of the job's network, a descriptor
 *   job -> supervisor    HELLO       set up, filtered, about to exec; the kernel adds its host pid
 *   supervisor -> job    GO          read back; exec now
 *   job -> supervisor    NO_EXEC     exec failed: errno
 *   (job's socket closes: the exec has happened)
 *   supervisor -> init   SIGNAL      forward this signal
 *   init -> supervisor   ENDED       the job's wait status
 *   relay -> supervisor  HELLO       able to copy; before the job may go
 *   relay -> supervisor  FAILED      it is not: errno
 *   relay -> supervisor  OVERFLOW    there is more output than the limit
 *   supervisor -> keeper SOCKET      the same, handed on (hardbox/net)
 *   supervisor -> keeper HELLO       there are no more; the job waits
 *   keeper -> supervisor QUEUED      not yet: other keepers have their turn, one after another
 *   keeper -> supervisor GO          it serves them
 *
 * Status records to the caller (descriptor --status-fd): type:u32 length:u32 payload.
 */
#ifndef HB_WIRE_H
#define HB_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum hb_message_type { HB_GO = 1, HB_FAILED, HB_HELLO, HB_NO_EXEC, HB_SIGNAL, HB_ENDED,
		       HB_LISTENER, HB_TERMINAL_MASTER, HB_OVERFLOW, HB_SOCKET, HB_QUEUED };

struct hb_message {
	uint32_t type;
	int32_t value; /* errno, signal number or wait status */
	uint32_t step;
};

enum hb_record_type {
	HB_RECORD_FAILED = 1, /* u32 step (1-based; 0: none in particular), i32 errno */
	HB_RECORD_READ = 2,   /* name NUL bytes: a file of /proc as it was */
	HB_RECORD_STARTED = 3, /* u64 ns since the supervisor began */
	HB_RECORD_NO_EXEC = 4, /* i32 errno */
	HB_RECORD_ENDED = 5,   /* i32 wait status, u32 cause, u64 wall ns, user us, system us, max RSS KiB */
	HB_RECORD_DENIED = 6,  /* struct hb_denials as far as it is filled (notify.h) */
	HB_RECORD_OBSERVED = 7, /* struct hb_observations as far as it is filled (observe.h) */
	HB_RECORD_SAMPLE = 8,  /* u64 ns since the supervisor began, memory, CPU us, tasks, bytes read, written */
	HB_RECORD_LIMITS = 9,  /* u32 cgroup version (0: watched), u32 0, u64 looks, hits, peak, times at the
				  limit, us waited for memory, 16 bytes name of the largest process,
				  u64 periods in which the CPU bandwidth was used up, most tasks
				  that were seen, looks that saw so many */
	HB_RECORD_STREAMS = 10, /* u32 terminals, u32 relayed (bit n: descriptor n), u64 bytes of stdout
				 * or terminal, u64 of stderr */
};

enum hb_cause {
	HB_CAUSE_OWN = 0,     /* the job ended by itself */
	HB_CAUSE_WALL = 1,    /* its wall time was up */
	HB_CAUSE_CALLER = 2,  /* the caller went away */
	HB_CAUSE_LOST = 3,    /* init died without a word */
	HB_CAUSE_MEMORY = 4,  /* the job as a whole took more memory than it may */
	/* 5 and 6 are free: limits on tasks and CPU time end processes, not the job. */
	HB_CAUSE_OUTPUT = 7,  /* more output than the limit */
};

/* Send or receive one message; retry on EINTR. message_receive gives 1, 0 at end of file,
 * -1 and errno on error (EPROTO for a message of the wrong size). */
int message_send(int socket, const struct hb_message *message);
int message_receive(int socket, struct hb_message *message);
/* The same, with the sender's pid as the kernel saw it, in the receiver's pid namespace. */
int message_receive_from(int socket, struct hb_message *message, pid_t *sender);
/* The same, with the descriptor that came with it, or -1. */
int message_receive_descriptor(int socket, struct hb_message *message, int *descriptor);
/* One message with at most HB_SENT_MAX descriptors. 0, or -1 and errno. */
#define HB_SENT_MAX 4
int descriptors_send(int socket, const void *data, size_t size, const int *descriptors, size_t count);
int descriptor_send(int socket, enum hb_message_type type, int descriptor);
/* A message of type GO that must bring one: the descriptor, or -1 and errno. */
int descriptor_receive(int socket);

/* Write one status record; does nothing if fd is -1. Returns 0 or -1 and errno. */
int record_write(int fd, enum hb_record_type type, const void *head, size_t head_size,
		 const void *tail, size_t tail_size);

#endif
