/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PID 1 of the test guest: runs the commands that the host sends over a virtio-serial port.
 *
 * It owns the port, the running jobs and their pipes. Invariant: it touches no filesystem but the
 * initramfs or a tmpfs after its start, and waits for no single job, so a command that hangs on a
 * frozen filesystem never keeps the next one from running. Started by guest/init; talks to
 * qa/vm/ports.py. Built static, so that it can be PID 1 of any root file system.
 *
 * A frame is {u32 payload bytes, u32 job, u32 type}, little endian, then the payload.
 *   from the host: R run (arguments, each with its NUL), I standard input, E its end,
 *                  K signal to the job's process group (u32)
 *   to the host:   H ready, s started (u32 process id), o standard output, e standard error,
 *                  x ended (u32 wait status, u64 start, u64 end in ns of CLOCK_MONOTONIC)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_MAX (1 << 20)
#define CHUNK 32768
#define JOBS_MAX 256
#define ARGS_MAX 1024

struct header {
	uint32_t length;
	uint32_t job;
	uint32_t type;
};

struct job {
	uint32_t id;
	pid_t pid; /* 0: this slot is free */
	int in, out, err;
	char *input; /* what the host sent and the command has not read yet */
	size_t input_length;
	bool input_ended;
	uint64_t start_ns;
};

static struct job jobs[JOBS_MAX];
static int port = -1;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void write_all(const void *data, size_t length)
{
	const char *at = data;

	while (length > 0) {
		ssize_t n = write(port, at, length);

		if (n > 0) {
			at += n;
			length -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			/* The host is slow or gone: the port is ours alone, waiting is all there is
			 * to do. */
			poll(&(struct pollfd){.fd = port, .events = POLLOUT}, 1, 100);
		} else if (n < 0 && errno != EINTR) {
			return;
		}
	}
}

static void send_frame(uint32_t job, char type, const void *data, size_t length)
{
	char frame[sizeof(struct header) + CHUNK];
	struct header header = {(uint32_t)length, job, (uint32_t)type};

	memcpy(frame, &header, sizeof header);
	if (length > 0)
		memcpy(frame + sizeof header, data, length);
	write_all(frame, sizeof header + length);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static struct job *find_job(uint32_t id)
{
	for (int i = 0; i < JOBS_MAX; i++)
		if (jobs[i].pid > 0 && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void send_exit(uint32_t id, uint32_t status, uint64_t start_ns)
{
	char payload[20];
	uint64_t end_ns = now_ns();

	memcpy(payload, &status, 4);
	memcpy(payload + 4, &start_ns, 8);
	memcpy(payload + 12, &end_ns, 8);
	send_frame(id, 'x', payload, sizeof payload);
}

/* Forwards what the pipe holds. Returns false at its end. */
static bool forward(struct job *job, int *fd, char type)
{
	char buffer[CHUNK];
	ssize_t n;

	if (*fd < 0)
		return false;
	n = read(*fd, buffer, sizeof buffer);
	if (n > 0) {
		send_frame(job->id, type, buffer, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	close_fd(fd);
	return false;
}

static void feed(struct job *job)
{
	ssize_t n = write(job->in, job->input, job->input_length);

	if (n > 0) {
		job->input_length -= (size_t)n;
		memmove(job->input, job->input + n, job->input_length);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		job->input_length = 0;
		job->input_ended = true;
	}
	if (job->input_length == 0 && job->input_ended)
		close_fd(&job->in);
}

static void finish(struct job *job, int status)
{
	while (forward(job, &job->out, 'o'))
		;
	while (forward(job, &job->err, 'e'))
		;
	/* What a background process of the job still writes has no reader any more. */
	close_fd(&job->out);
	close_fd(&job->err);
	close_fd(&job->in);
	free(job->input);
	send_exit(job->id, (uint32_t)status, job->start_ns);
	memset(job, 0, sizeof *job);
}

static void reap(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < JOBS_MAX; i++)
			if (jobs[i].pid == pid)
				finish(&jobs[i], status);
}

static _Noreturn void child(char **argv, int in, int out, int err)
{
	sigset_t none;

	setsid();
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static bool make_pipes(int pipes[3][2])
{
	for (int i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			return false;
	fcntl(pipes[0][1], F_SETFL, O_NONBLOCK);
	fcntl(pipes[1][0], F_SETFL, O_NONBLOCK);
	fcntl(pipes[2][0], F_SETFL, O_NONBLOCK);
	return true;
}

static void run(uint32_t id, char *payload, size_t length)
{
	char *argv[ARGS_MAX + 1];
	int pipes[3][2];
	struct job *job = NULL;
	size_t count = 0;

	for (size_t at = 0; at < length && count < ARGS_MAX; at += strlen(payload + at) + 1)
		argv[count++] = payload + at;
	argv[count] = NULL;
	for (int i = 0; i < JOBS_MAX && !job; i++)
		if (jobs[i].pid == 0)
			job = &jobs[i];
	if (count == 0 || !job || !make_pipes(pipes)) {
		send_exit(id, 126 << 8, now_ns());
		return;
	}

	*job = (struct job){.id = id, .in = pipes[0][1], .out = pipes[1][0], .err = pipes[2][0]};
	job->start_ns = now_ns();
	job->pid = fork();
	if (job->pid == 0)
		child(argv, pipes[0][0], pipes[1][1], pipes[2][1]);
	close(pipes[0][0]);
	close(pipes[1][1]);
	close(pipes[2][1]);
	if (job->pid < 0)
		finish(job, 126 << 8);
	else
		send_frame(id, 's', &job->pid, sizeof job->pid);
}

static void add_input(struct job *job, const char *data, size_t length)
{
	char *grown = job->in < 0 ? NULL : realloc(job->input, job->input_length + length + 1);

	if (!grown)
		return;
	job->input = grown;
	memcpy(job->input + job->input_length, data, length);
	job->input_length += length;
}

static void handle(const struct header *header, char *payload)
{
	struct job *job = find_job(header->job);
	uint32_t signo;

	payload[header->length] = '\0';
	if (header->type == 'R') {
		run(header->job, payload, header->length);
	} else if (!job) {
		return; /* it ended meanwhile */
	} else if (header->type == 'I') {
		add_input(job, payload, header->length);
	} else if (header->type == 'E') {
		job->input_ended = true;
	} else if (header->type == 'K' && header->length == sizeof signo) {
		memcpy(&signo, payload, sizeof signo);
		kill(-job->pid, (int)signo);
	}
}

/* Reads what the port holds and handles each whole frame. */
static void read_port(void)
{
	static char buffer[sizeof(struct header) + PAYLOAD_MAX + 1];
	static char payload[PAYLOAD_MAX + 1];
	static size_t have;
	struct header header;
	ssize_t n = read(port, buffer + have, sizeof buffer - 1 - have);

	if (n <= 0) {
		/* The host side is closed: the port says so for ever, so do not spin. */
		usleep(50000);
		return;
	}
	have += (size_t)n;
	while (have >= sizeof header) {
		memcpy(&header, buffer, sizeof header);
		if (header.length > PAYLOAD_MAX) {
			have = 0; /* out of step; the host's limits keep this from happening */
			return;
		}
		if (have < sizeof header + header.length)
			return;
		memcpy(payload, buffer + sizeof header, header.length);
		have -= sizeof header + header.length;
		memmove(buffer, buffer + sizeof header + header.length, have);
		handle(&header, payload);
	}
}

static void loop(int signals)
{
	struct pollfd polls[2 + 3 * JOBS_MAX];
	struct signalfd_siginfo info;

	for (;;) {
		nfds_t count = 2;

		polls[0] = (struct pollfd){.fd = port, .events = POLLIN};
		polls[1] = (struct pollfd){.fd = signals, .events = POLLIN};
		for (int i = 0; i < JOBS_MAX; i++) {
			struct job *job = &jobs[i];
			bool feeding = job->input_length > 0 || job->input_ended;

			if (job->pid == 0)
				continue;
			polls[count++] = (struct pollfd){.fd = job->out, .events = POLLIN};
			polls[count++] = (struct pollfd){.fd = job->err, .events = POLLIN};
			polls[count++] =
				(struct pollfd){.fd = feeding ? job->in : -1, .events = POLLOUT};
		}
		if (poll(polls, count, -1) < 0)
			continue;

		for (int i = 0; i < JOBS_MAX; i++) {
			struct job *job = &jobs[i];

			if (job->pid == 0)
				continue;
			forward(job, &job->out, 'o');
			forward(job, &job->err, 'e');
			if (job->in >= 0 && (job->input_length > 0 || job->input_ended))
				feed(job);
		}
		if (polls[1].revents && read(signals, &info, sizeof info) > 0)
			reap();
		if (polls[0].revents)
			read_port();
	}
}

int main(int argc, char **argv)
{
	sigset_t mask;
	int signals;

	if (argc != 2) {
		fprintf(stderr, "usage: command-server PORT\n");
		return 2;
	}
	port = open(argv[1], O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (port < 0) {
		perror(argv[1]);
		return 1;
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);

	send_frame(0, 'H', NULL, 0);
	loop(signals);
	return 1;
}
