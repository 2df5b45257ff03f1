/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-socket unix PATH | vsock CID PORT [OWN-PORT]: connects, and copies standard input to the
 * socket and the socket to standard output, until the peer closes.
 * qa-socket listen PATH COMMAND...: becomes COMMAND with a listening socket as its one inherited
 * descriptor, as a service manager starts what a socket activates.
 *
 * Owns one socket. Exit status 0: connected, and the peer closed; 1: errno's name is on standard
 * error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define FIRST_INHERITED_FD 3

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
	return 1;
}

static struct sockaddr_un unix_address(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return address;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un address = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : fd;
}

static int connect_vsock(const char *cid, const char *port, const char *own_port)
{
	struct sockaddr_vm address = {.svm_family = AF_VSOCK,
				      .svm_cid = strtoul(cid, NULL, 10),
				      .svm_port = strtoul(port, NULL, 10)};
	struct sockaddr_vm own = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	if (own_port) {
		own.svm_port = strtoul(own_port, NULL, 10);
		if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
			return -1;
	}
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : fd;
}

/* Returns false at the end of @from. */
static bool copy(int from, int to)
{
	char buffer[65536];
	ssize_t len = read(from, buffer, sizeof(buffer));

	for (ssize_t done = 0, n; done < len; done += n) {
		n = write(to, buffer + done, len - done);
		if (n < 0)
			return false;
	}
	return len > 0;
}

static int relay(int fd)
{
	struct pollfd ends[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

	for (;;) {
		if (poll(ends, 2, -1) < 0)
			return fail("poll");
		if (ends[0].revents && !copy(fd, 1))
			return 0;
		if (ends[1].revents && !copy(0, fd)) {
			shutdown(fd, SHUT_WR);
			ends[1].fd = -1;
		}
	}
}

static int become(const char *path, char **command)
{
	struct sockaddr_un address = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char pid[16];

	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 8) < 0)
		return fail(path);
	if (fd != FIRST_INHERITED_FD && (dup2(fd, FIRST_INHERITED_FD) < 0 || close(fd) < 0))
		return fail("dup2");
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	execvp(command[0], command);
	return fail(command[0]);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc == 3 && strcmp(argv[1], "unix") == 0) {
		fd = connect_unix(argv[2]);
		return fd < 0 ? fail("connect") : relay(fd);
	}
	if ((argc == 4 || argc == 5) && strcmp(argv[1], "vsock") == 0) {
		fd = connect_vsock(argv[2], argv[3], argc == 5 ? argv[4] : NULL);
		return fd < 0 ? fail("connect") : relay(fd);
	}
	if (argc > 3 && strcmp(argv[1], "listen") == 0)
		return become(argv[2], argv + 3);
	fprintf(stderr, "usage: qa-socket unix PATH | vsock CID PORT [OWN-PORT] | "
			"listen PATH COMMAND...\n");
	return 2;
}
