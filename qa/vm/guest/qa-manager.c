/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-manager NOTIFY-SOCKET COMMAND...: a stand-in for the service manager, as far as a service with
 * a file descriptor store and a watchdog sees it (sd_notify(3), sd_listen_fds(3)).
 *
 * Starts COMMAND, and again for each line "start" on its standard input once it has ended. Keeps
 * the descriptors that it sends with FDSTORE=1 until it names them with FDSTOREREMOVE=1, and hands
 * them to the next start. Once told WATCHDOG_USEC=N it kills it after that time without WATCHDOG=1.
 * Tells what happens, a line each: "started PID", "message ...", "stored NAME", "removed NAME",
 * "watchdog PID", "ended STATUS". At the end of its input it goes, and its descriptors with it.
 * Owns the store and the watchdog; invariant: the first `count` of the store are open.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_INHERITED_FD 3
#define MAX_STORED 64
#define MAX_FDS 253 /* of one message (unix(7)) */

static struct {
	int fd;
	char name[64];
} store[MAX_STORED];
static int count;
static pid_t child;
static struct {
	int fd;
	unsigned long usec; /* 0: it is off */
} watchdog;

static void die(const char *what)
{
	fprintf(stderr, "qa-manager: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(path);
	return fd;
}

/* In the child: what is stored becomes 3, 4, ..., with names to match. */
static void inherit(void)
{
	char names[MAX_STORED * 64] = "", number[16];
	int high[MAX_STORED];

	for (int i = 0; i < count; i++) {
		/* Out of the way first: one could lie where another belongs. */
		high[i] = fcntl(store[i].fd, F_DUPFD_CLOEXEC, FIRST_INHERITED_FD + MAX_STORED);
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ":" : "",
			 store[i].name);
	}
	for (int i = 0; i < count; i++)
		if (high[i] < 0 || dup2(high[i], FIRST_INHERITED_FD + i) < 0)
			die("dup2");
	if (count == 0)
		return;
	snprintf(number, sizeof(number), "%d", count);
	setenv("LISTEN_FDS", number, 1);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static void start(const char *socket, char **command)
{
	sigset_t none;

	child = fork();
	if (child < 0)
		die("fork");
	if (child > 0) {
		printf("started %d\n", (int)child);
		return;
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv("NOTIFY_SOCKET", socket, 1);
	inherit();
	execvp(command[0], command);
	die(command[0]);
}

static void keep(const char *name, const int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		if (count == MAX_STORED)
			die("too many descriptors");
		store[count].fd = fds[i];
		snprintf(store[count].name, sizeof(store[count].name), "%s", name);
		count++;
		printf("stored %s\n", name);
	}
}

static void forget(const char *name)
{
	for (int i = count - 1; i >= 0; i--) {
		if (strcmp(store[i].name, name) != 0)
			continue;
		close(store[i].fd);
		store[i] = store[--count];
		printf("removed %s\n", name);
	}
}

static void arm_watchdog(void)
{
	struct itimerspec at = {
		.it_value = {watchdog.usec / 1000000, watchdog.usec % 1000000 * 1000}};

	if (timerfd_settime(watchdog.fd, 0, &at, NULL) < 0)
		die("timerfd_settime");
}

static void bite(void)
{
	unsigned long times;

	/* What came meanwhile is read first, as systemd does. */
	if (read(watchdog.fd, &times, sizeof(times)) < 0 || child == 0)
		return;
	printf("watchdog %d\n", (int)child);
	kill(child, SIGKILL);
}

static void take(char *text, const int *fds, int n)
{
	char *name = "", *line, *rest = text;
	bool is_put = false, is_removal = false;

	while ((line = strsep(&rest, "\n"))) {
		if (*line)
			printf("message %s\n", line);
		if (strcmp(line, "FDSTORE=1") == 0)
			is_put = true;
		else if (strcmp(line, "FDSTOREREMOVE=1") == 0)
			is_removal = true;
		else if (strncmp(line, "FDNAME=", 7) == 0)
			name = line + 7;
		else if (sscanf(line, "WATCHDOG_USEC=%lu", &watchdog.usec) == 1 ||
			 strcmp(line, "WATCHDOG=1") == 0)
			arm_watchdog();
	}
	if (is_put)
		keep(name, fds, n);
	else
		for (int i = 0; i < n; i++)
			close(fds[i]);
	if (is_removal)
		forget(name);
}

static void receive(int fd)
{
	char text[4096];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	} control;
	struct iovec part = {text, sizeof(text) - 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *rights;
	int fds[MAX_FDS], n = 0;

	if (len < 0)
		return;
	text[len] = '\0';
	rights = CMSG_FIRSTHDR(&message);
	if (rights && rights->cmsg_type == SCM_RIGHTS) {
		n = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(rights), n * sizeof(int));
	}
	take(text, fds, n);
}

static void reap(int signals)
{
	struct signalfd_siginfo info;
	int status;

	if (read(signals, &info, sizeof(info)) < 0 || waitpid(child, &status, WNOHANG) <= 0)
		return;
	child = 0;
	watchdog.usec = 0;
	arm_watchdog();
	printf("ended %d\n", WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	struct pollfd ends[4] = {{.events = POLLIN},
				 {.events = POLLIN},
				 {.events = POLLIN},
				 {.events = POLLIN}};
	char line[64];
	sigset_t set;

	if (argc < 3) {
		fprintf(stderr, "usage: qa-manager NOTIFY-SOCKET COMMAND...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ends[0].fd = listen_at(argv[1]);
	ends[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
	ends[2].fd = STDIN_FILENO;
	ends[3].fd = watchdog.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	start(argv[1], argv + 2);
	while (poll(ends, 4, -1) > 0 || errno == EINTR) {
		if (ends[0].revents)
			receive(ends[0].fd);
		else if (ends[3].revents)
			bite();
		if (ends[1].revents)
			reap(ends[1].fd);
		if (!ends[2].revents)
			continue;
		ssize_t len = read(STDIN_FILENO, line, sizeof(line));
		if (len <= 0)
			return 0;
		if (len >= 5 && strncmp(line, "start", 5) == 0 && child == 0)
			start(argv[1], argv + 2);
	}
	return 1;
}
