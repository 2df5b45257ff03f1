/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the ways to reach an agent: Unix socket, vsock, character device. What it returns never
 * blocks and is closed on exec. Called by lines.c only. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#ifdef HAVE_LINUX_VM_SOCKETS_H
#include <linux/vm_sockets.h>
#endif

#include "protocol/client.h"
#include "protocol/connect.h"

/* A listener whose queue is full gives nothing to wait for. */
#define RETRY_MS 20

static int throw_connect(GError **error, int fd, const char *address)
{
	int reason = errno;

	if (fd >= 0)
		close(fd);
	g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT, "connect to '%s': %s", address,
		    g_strerror(reason));
	return -1;
}

bool sf_wait_fd(int fd, short events, const char *peer, int64_t deadline_us, GError **error)
{
	struct pollfd entry = {.fd = fd, .events = events};

	/* The time is looked at before the descriptor: one that is always ready, fed with garbage,
	 * must not put the end off. */
	for (;;) {
		int64_t left_us = deadline_us - g_get_monotonic_time();

		if (left_us <= 0)
			break;
		/* Rounded up, or the last millisecond would be spent spinning. */
		if (poll(&entry, 1, (int)MIN((left_us + 999) / 1000, G_MAXINT)) > 0)
			return true;
	}
	g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT, "no answer from %s in time",
		    peer);
	return false;
}

static int finish_connect(int fd, const char *address, int64_t deadline_us, GError **error)
{
	int reason = 0;
	socklen_t len = sizeof reason;

	if (!sf_wait_fd(fd, POLLOUT, address, deadline_us, error)) {
		close(fd);
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &len) < 0)
		return throw_connect(error, fd, address);
	errno = reason;
	return reason == 0 ? fd : throw_connect(error, fd, address);
}

static int connect_socket(const struct sockaddr *peer, socklen_t len, const char *address,
			  int64_t deadline_us, GError **error)
{
	int fd = socket(peer->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return throw_connect(error, -1, address);
	while (connect(fd, peer, len) < 0) {
		if (errno == EINPROGRESS)
			return finish_connect(fd, address, deadline_us, error);
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return throw_connect(error, fd, address);
		if (g_get_monotonic_time() >= deadline_us) {
			g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT,
				    "connect to '%s': too many others wait", address);
			close(fd);
			return -1;
		}
		g_usleep(RETRY_MS * 1000);
	}
	return fd;
}

static int connect_unix(const char *path, int64_t deadline_us, GError **error)
{
	struct sockaddr_un peer = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof peer.sun_path) {
		errno = ENAMETOOLONG;
		return throw_connect(error, -1, path);
	}
	memcpy(peer.sun_path, path, strlen(path));
	return connect_socket((struct sockaddr *)&peer, sizeof peer, path, deadline_us, error);
}

static bool parse_number(const char *text, guint64 max, unsigned int *out_number)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(text, 10, 0, max, &number, NULL))
		return false;
	*out_number = (unsigned int)number;
	return true;
}

static int connect_vsock(const char *address, int64_t deadline_us, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(address, ":", -1);
	unsigned int cid, port;

	if (g_strv_length(parts) != 3 || !parse_number(parts[1], G_MAXUINT32, &cid) ||
	    !parse_number(parts[2], G_MAXUINT32, &port)) {
		errno = EINVAL;
		return throw_connect(error, -1, address);
	}
#ifdef HAVE_LINUX_VM_SOCKETS_H
	struct sockaddr_vm peer = {
		.svm_family = AF_VSOCK,
		.svm_cid = cid,
		.svm_port = port,
	};
	return connect_socket((struct sockaddr *)&peer, sizeof peer, address, deadline_us, error);
#else
	errno = EAFNOSUPPORT;
	return throw_connect(error, -1, address);
#endif
}

/* A terminal would echo, and translate line ends and 0xFF. */
static void make_raw(int fd)
{
	struct termios settings;

	if (!isatty(fd) || tcgetattr(fd, &settings) < 0)
		return;
	cfmakeraw(&settings);
	(void)tcsetattr(fd, TCSANOW, &settings);
}

static int open_device(const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return throw_connect(error, -1, path);
	make_raw(fd);
	return fd;
}

int sf_connect(const char *address, int64_t deadline_us, bool *out_is_socket, GError **error)
{
	struct stat status;

	*out_is_socket = true;
	if (g_str_has_prefix(address, "vsock:"))
		return connect_vsock(address, deadline_us, error);
	if (g_str_has_prefix(address, "unix:"))
		return connect_unix(address + strlen("unix:"), deadline_us, error);
	if (stat(address, &status) == 0 && S_ISCHR(status.st_mode)) {
		*out_is_socket = false;
		return open_device(address, error);
	}
	return connect_unix(address, deadline_us, error);
}
