/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * What agent and freezer say to each other: fixed-size messages over a SOCK_SEQPACKET socketpair.
 * Both ends use MSG_DONTWAIT: a stopped peer must not block the other (kernel.md: "Messages both
 * ways").
 */

#define SF_MESSAGE_MAGIC 0x5a465331u
#define SF_MESSAGE_MAX_FDS 200 /* below SCM_MAX_FD, 253 (unix(7)) */
#define SF_MESSAGE_MAX_EDGES 120
#define SF_MAX_EDGES 16384

enum sf_message_kind {
	/* agent to freezer */
	SF_MESSAGE_PLAN = 1, /* @count targets, @value: how many freeze at once, @flag: accept
				foreign freezes */
	SF_MESSAGE_TARGETS,  /* @count fds ride along, from @index on; @barrier says which are
				barriers */
	SF_MESSAGE_EDGES,    /* @count edges */
	SF_MESSAGE_FLUSH,    /* @value: timeout in ms; everything is there: make the threads,
				flush; after _FLUSHED: flush again */
	SF_MESSAGE_FREEZE,   /* @value: freeze-timeout, @lease, @maximum, all in ms */
	SF_MESSAGE_EXTEND,   /* @lease: ms from now */
	SF_MESSAGE_THAW,     /* @reason: SF_END_REQUEST, _STOPPED; ends whatever is under way */
	SF_MESSAGE_HEARTBEAT,
	/* freezer to agent */
	SF_MESSAGE_READY,    /* started, locked in memory and confined; @error: but without a filter
				of its system calls */
	SF_MESSAGE_FLUSHED,  /* @value: ms */
	SF_MESSAGE_FROZEN,   /* @count: how many; @value: ms; @lease: ms left */
	SF_MESSAGE_EXTENDED, /* @lease: ms left */
	SF_MESSAGE_ENDING,   /* the thaw has begun: @reason, and with a failure @index and @error */
	SF_MESSAGE_DRAINING, /* all is thawed but what cannot be yet: @index is still inside
				FIFREEZE or a flush */
	SF_MESSAGE_SLOW,     /* the thaw of @index has not returned in 2 s, or failed with @error */
	SF_MESSAGE_ENDED,    /* nothing of ours is frozen: @reason */
	SF_MESSAGE_ALIVE,    /* answer to a heartbeat */
};

struct sf_edge {
	uint16_t before,
		after; /* indices: before is frozen before after is begun, thawed after it */
};

struct sf_message {
	uint32_t magic;
	uint32_t kind;
	int32_t index;   /* of a target; -1: none */
	int32_t error;   /* errno */
	uint32_t reason; /* enum sf_end */
	uint32_t count;
	uint64_t value;
	uint64_t lease;
	uint64_t maximum;
	uint32_t flag;
	union {
		struct sf_edge edges[SF_MESSAGE_MAX_EDGES];
		uint8_t barrier[SF_MESSAGE_MAX_FDS];
	};
};

/* Room for the fds that ride along with a message (cmsg(3)). */
union sf_fd_control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int) * SF_MESSAGE_MAX_FDS)];
};

/* Has @header carry @count fds, at most SF_MESSAGE_MAX_FDS; @control must live as long as it does.
 */
void sf_fd_control_attach(union sf_fd_control *control, struct msghdr *header, const int *fds,
			  unsigned int count);

/*
 * Sends @message, with @count fds where @fds is not NULL. Never blocks.
 * Returns: 0, or -errno
 */
int sf_message_send(int socket, const struct sf_message *message, const int *fds,
		    unsigned int count);

/*
 * Receives one message. @fds has room for SF_MESSAGE_MAX_FDS; those that came are close-on-exec and
 * the caller's. Never blocks. Returns: 1: @message is set; 0: nothing is there; -errno: the peer is
 * gone (-EPIPE) or what came is no message
 */
int sf_message_receive(int socket, struct sf_message *message, int *fds, unsigned int *out_count);
