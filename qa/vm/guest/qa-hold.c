/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holds a freeze at one place of the kernel for as long as the tests like, without a clock.
 *
 *   qa-hold open PATH...   the next process that opens one of these folders waits in its open()
 *   qa-hold write PATH     a write to this filesystem is under way: FIFREEZE waits for its end in
 *                          the kernel, uninterruptibly, while syncfs() does not
 *   qa-hold bind PATH...   datagram sockets that nobody ever reads
 *   qa-hold fifo PATH      a FIFO, full, that nobody reads
 *   qa-hold run COMMAND... runs it with a standard error that is a stream nobody reads, full from
 *                          the start, as journald's is when journald is stopped
 *
 * They say "ready" when they are set up, the first two "held PID" when somebody waits. All but the
 * last go on until the end of their standard input, and let go then, or when they die. Owns
 * what it holds; nothing is left behind but a file ".qa-hold" of one byte (write).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096

static void die(const char *what)
{
	fprintf(stderr, "qa-hold: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Returns at the end of standard input, or, with an @fd, when there is something to read from it.
 */
static bool input_ended(int fd)
{
	struct pollfd ends[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
				 {.fd = fd, .events = POLLIN}};
	char ignored[64];

	for (;;) {
		if (poll(ends, 2, -1) < 0)
			continue;
		if (ends[0].revents && read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
			return true;
		if (ends[1].revents)
			return false;
	}
}

static int hold_open(char **paths)
{
	struct fanotify_event_metadata event;
	int group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);

	if (group < 0)
		die("fanotify_init");
	for (; *paths; paths++)
		if (fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ONDIR, AT_FDCWD,
				  *paths) < 0)
			die(*paths);
	printf("ready\n");
	if (input_ended(group))
		return 0;
	/* Not answered: the kernel lets it pass when the group is closed. */
	if (read(group, &event, sizeof event) != sizeof event)
		die("fanotify");
	printf("held %d\n", (int)event.pid);
	input_ended(-1);
	return 0;
}

struct write {
	int fd;
	char *page;
};

static void *write_page(void *user_data)
{
	struct write *write_of = user_data;

	if (pwrite(write_of->fd, write_of->page, 1, 0) != 1)
		die("write");
	return NULL;
}

/* The page that is written out of is missing until somebody fills it in: the write waits for that
 * in the middle of its way through the kernel, where it has told the filesystem that it writes. */
static int hold_write(const char *path)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_zeropage fill = {0};
	struct uffd_msg message;
	struct write write_of;
	char name[PATH_MAX];
	pthread_t thread;
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	snprintf(name, sizeof name, "%s/.qa-hold", path);
	write_of.fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	write_of.page =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (write_of.fd < 0 || write_of.page == MAP_FAILED)
		die(name);
	area.range.start = fill.range.start = (uintptr_t)write_of.page;
	area.range.len = fill.range.len = PAGE;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &area) < 0)
		die("userfaultfd");
	if (pthread_create(&thread, NULL, write_page, &write_of) != 0)
		die("thread");
	if (read(fd, &message, sizeof message) != sizeof message)
		die("userfaultfd");
	printf("held %d\n", (int)getpid());
	input_ended(-1);
	if (ioctl(fd, UFFDIO_ZEROPAGE, &fill) < 0)
		die("userfaultfd");
	pthread_join(thread, NULL);
	return 0;
}

static int bind_sockets(char **paths)
{
	for (; *paths; paths++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		strncpy(address.sun_path, *paths, sizeof address.sun_path - 1);
		unlink(*paths);
		if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
			die(*paths);
	}
	printf("ready\n");
	input_ended(-1);
	return 0;
}

static int fill_fifo(const char *path)
{
	char zeros[PAGE] = {0};
	int fd;

	if (mkfifo(path, 0600) < 0)
		die(path);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die(path);
	while (write(fd, zeros, sizeof zeros) > 0 || write(fd, zeros, 1) > 0)
		;
	printf("ready\n");
	input_ended(-1);
	unlink(path);
	return 0;
}

static int run_with_full_stderr(char **command)
{
	char stream[64], zeros[PAGE] = {0};
	struct stat status;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || fstat(pair[0], &status) < 0)
		die("socketpair");
	while (send(pair[0], zeros, sizeof zeros, MSG_DONTWAIT) > 0 ||
	       send(pair[0], zeros, 1, MSG_DONTWAIT) > 0)
		;
	snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)status.st_dev,
		 (unsigned long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	/* The end that nobody reads stays open in the command itself. */
	dup2(pair[0], STDERR_FILENO);
	close(pair[0]);
	execvp(command[0], command);
	return 127;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 3 && strcmp(argv[1], "open") == 0)
		return hold_open(argv + 2);
	if (argc == 3 && strcmp(argv[1], "write") == 0)
		return hold_write(argv[2]);
	if (argc >= 3 && strcmp(argv[1], "bind") == 0)
		return bind_sockets(argv + 2);
	if (argc == 3 && strcmp(argv[1], "fifo") == 0)
		return fill_fifo(argv[2]);
	if (argc >= 3 && strcmp(argv[1], "run") == 0)
		return run_with_full_stderr(argv + 2);
	fprintf(stderr,
		"usage: qa-hold open PATH... | write PATH | bind PATH... | fifo PATH | run COMMAND...\n");
	return 2;
}
