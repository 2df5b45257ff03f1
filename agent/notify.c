/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service manager's protocol, of which we need a few words: a datagram to $NOTIFY_SOCKET, as
 * sd_notify(3) describes it for those who do without its library. Holds no state. Called by
 * agent, service-manager and fdstore.
 */
#include "config.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/freezer/messages.h"
#include "agent/notify.h"

static bool make_address(const char *path, struct sockaddr_un *out_address, socklen_t *out_len)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(out_address->sun_path))
		return false;
	*out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(out_address->sun_path, path, len);
	if (path[0] == '@')
		out_address->sun_path[0] = '\0';
	*out_len = offsetof(struct sockaddr_un, sun_path) + len;
	return true;
}

int sf_notify(const char *message, const int *fds, unsigned int count)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	union sf_fd_control control;
	struct iovec part = {(void *)message, strlen(message)};
	struct msghdr header = {.msg_name = &address, .msg_iov = &part, .msg_iovlen = 1};

	if (!path || count > SF_MESSAGE_MAX_FDS ||
	    !make_address(path, &address, &header.msg_namelen))
		return -ENOTCONN;
	if (count > 0)
		sf_fd_control_attach(&control, &header, fds, count);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int result = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : -errno;
	close(fd);
	return result;
}
