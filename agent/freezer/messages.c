/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket between agent and freezer. Linked by both; only libc. A message is whole or an error:
 * the socket keeps message boundaries.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/freezer/messages.h"

void sf_fd_control_attach(union sf_fd_control *control, struct msghdr *header, const int *fds,
			  unsigned int count)
{
	memset(control, 0, sizeof(*control));
	header->msg_control = control;
	header->msg_controllen = CMSG_SPACE(sizeof(int) * count);
	struct cmsghdr *rights = CMSG_FIRSTHDR(header);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
}

int sf_message_send(int socket, const struct sf_message *message, const int *fds,
		    unsigned int count)
{
	union sf_fd_control control;
	struct iovec part = {(void *)message, sizeof(*message)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (count > SF_MESSAGE_MAX_FDS)
		return -EMSGSIZE;
	if (count > 0)
		sf_fd_control_attach(&control, &header, fds, count);
	ssize_t sent;
	do
		sent = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static unsigned int take_fds(struct msghdr *header, int *fds)
{
	unsigned int count = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(part), count * sizeof(int));
	}
	return count;
}

int sf_message_receive(int socket, struct sf_message *message, int *fds, unsigned int *out_count)
{
	union sf_fd_control control;
	struct iovec part = {message, sizeof(*message)};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control)};
	ssize_t got;

	*out_count = 0;
	do
		got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (got == 0)
		return -EPIPE;
	*out_count = take_fds(&header, fds);
	if (got != sizeof(*message) || message->magic != SF_MESSAGE_MAGIC ||
	    header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (*out_count > 0)
			close(fds[--*out_count]);
		return -EPROTO;
	}
	return 1;
}
