/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets by path: made for root alone, replaced when stale, removed when ours. Called by
 * listener. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/unix-socket.h"
#include "protocol/error.h"

#define BACKLOG 16

static bool make_address(const char *path, struct sockaddr_un *out_address, GError **error)
{
	*out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!*path || strlen(path) >= sizeof(out_address->sun_path))
		return sf_throw(error, "'%s' is no path for a socket: it must have 1 to %zu bytes",
				path, sizeof(out_address->sun_path) - 1);
	strcpy(out_address->sun_path, path);
	return true;
}

/* Whether nobody listens there. Not blocking: a full queue means that somebody does. */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool refused;

	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static bool make_room(const struct sockaddr_un *address, GError **error)
{
	const char *path = address->sun_path;
	struct stat found;

	if (lstat(path, &found) < 0)
		return errno == ENOENT || sf_throw_errno(error, "look at '%s'", path);
	if (!S_ISSOCK(found.st_mode))
		return sf_throw(error, "'%s' exists and is no socket", path);
	if (!is_stale(address))
		return sf_throw(error, "'%s' is in use by another process", path);
	if (unlink(path) < 0)
		return sf_throw_errno(error, "remove stale socket '%s'", path);
	return true;
}

int sf_unix_socket_listen(const char *path, struct stat *out_made, GError **error)
{
	struct sockaddr_un address;
	int fd;

	if (!make_address(path, &address, error) || !make_room(&address, error))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The file gets the mode that the socket has when it is bound (and the umask takes more
	 * away): there is no moment in which others could connect. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0 ||
	    lstat(path, out_made) < 0) {
		sf_throw_errno(error, "listen on '%s'", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

void sf_unix_socket_unlink(const char *path, const struct stat *made)
{
	struct stat found;

	if (lstat(path, &found) == 0 && found.st_dev == made->st_dev &&
	    found.st_ino == made->st_ino)
		unlink(path);
}
