/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One descriptor out of a message; holds no state. Called by opener and files. */
#include <string.h>
#include <sys/socket.h>

#include "agent/passed-fd.h"

static int take_fd(struct msghdr *envelope)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(envelope);
	int fd = -1;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

ssize_t sf_passed_fd_receive(int socket, void *data, size_t size, int *out_fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = data, .iov_len = size};
	struct msghdr envelope = {.msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(socket, &envelope, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*out_fd = n > 0 ? take_fd(&envelope) : -1;
	return n;
}
