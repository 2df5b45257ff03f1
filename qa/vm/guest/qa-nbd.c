/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-nbd DEVICE FILE: serves FILE as the network block device DEVICE until it gets SIGTERM.
 * SIGUSR1: it answers nothing any more, as a server that hangs; SIGUSR2: it goes on.
 *
 * Owns both ends of the connection. Says "serving" on standard output. FILE must lie on a tmpfs.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char buffer[1 << 20];

static bool transfer(ssize_t (*move)(int, void *, size_t), int fd, void *data, size_t length)
{
	char *at = data;

	while (length > 0) {
		ssize_t n = move(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		length -= (size_t)n;
	}
	return true;
}

static ssize_t write_some(int fd, void *data, size_t length)
{
	return write(fd, data, length);
}

static bool answer(int socket, int file)
{
	struct nbd_request request;
	struct nbd_reply reply = {.magic = htobe32(NBD_REPLY_MAGIC)};
	uint32_t command, length;
	off_t from;

	if (!transfer(read, socket, &request, sizeof request))
		return false;
	command = be32toh(request.type) & 0xffff;
	length = be32toh(request.len);
	from = (off_t)be64toh(request.from);
	memcpy(&reply.handle, &request.handle, sizeof reply.handle);
	if (command == NBD_CMD_DISC || length > sizeof buffer)
		return false;
	if (command == NBD_CMD_WRITE && (!transfer(read, socket, buffer, length) ||
					 pwrite(file, buffer, length, from) != (ssize_t)length))
		reply.error = htobe32(EIO);
	if (command == NBD_CMD_READ && pread(file, buffer, length, from) != (ssize_t)length)
		return false;
	return transfer(write_some, socket, &reply, sizeof reply) &&
	       (command != NBD_CMD_READ || transfer(write_some, socket, buffer, length));
}

static pid_t serve(int socket, int file)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (answer(socket, file))
		;
	_exit(0);
}

static int device = -1;
static pid_t server;

static void on_signal(int signo)
{
	if (signo == SIGTERM)
		ioctl(device, NBD_DISCONNECT);
	else
		kill(server, signo == SIGUSR1 ? SIGSTOP : SIGCONT);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int ends[2], file;
	struct stat info;
	pid_t watcher;

	if (argc != 3)
		return 2;
	device = open(argv[1], O_RDWR | O_CLOEXEC);
	file = open(argv[2], O_RDWR | O_CLOEXEC);
	if (device < 0 || file < 0 || fstat(file, &info) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 ||
	    ioctl(device, NBD_SET_SIZE, (unsigned long)info.st_size) < 0 ||
	    ioctl(device, NBD_SET_SOCK, ends[0]) < 0) {
		perror(argv[1]);
		return 1;
	}
	server = serve(ends[1], file);
	/* NBD_DO_IT ends by any signal: another process waits in it. */
	watcher = fork();
	if (watcher == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(ioctl(device, NBD_DO_IT) < 0);
	}
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	puts("serving");
	fflush(stdout);
	waitpid(watcher, NULL, 0);
	kill(server, SIGKILL);
	ioctl(device, NBD_CLEAR_SOCK);
	return 0;
}
