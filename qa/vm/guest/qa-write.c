/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-write [-r] [-s] [-t SECONDS] PATH...: one write (or, with -r, one read) to each path, side by
 * side, and how it went: "done MS PATH", "blocked MS PATH" or "error NAME PATH", with tabs between.
 *
 * A directory gets a file of its own that is removed again; -s asks for an fsync too. -r reads the
 * directory, or the file's first bytes. Each path has its own process, and nobody waits for one
 * that hangs longer than SECONDS (10): it goes on by itself once the filesystem is thawed, and
 * cleans up. Exit status: 0 all done, 3 some blocked, 1 an error.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool reading, syncing;

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static bool read_path(const char *path, bool directory)
{
	char byte;
	DIR *dir = directory ? opendir(path) : NULL;
	int fd;

	if (directory)
		return dir && (readdir(dir) || errno == 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &byte, 1) >= 0;
}

static bool write_path(const char *path, bool directory)
{
	char name[4096];
	int fd;
	bool ok;

	if (directory)
		snprintf(name, sizeof name, "%s/.qa-write-%d", path, (int)getpid());
	else
		snprintf(name, sizeof name, "%s", path);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ok = fd >= 0 && write(fd, "x", 1) == 1 && (!syncing || fsync(fd) == 0);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && directory)
		unlink(name);
	return ok;
}

/* Runs the one access in a process of its own. Returns where its result can be read. */
static int start(const char *path)
{
	struct stat st;
	int ends[2];
	int result;

	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	if (fork() != 0) {
		close(ends[1]);
		return ends[0];
	}
	signal(SIGPIPE, SIG_IGN);
	errno = 0;
	if (stat(path, &st) < 0)
		result = errno;
	else if (reading)
		result = read_path(path, S_ISDIR(st.st_mode)) ? 0 : errno;
	else
		result = write_path(path, S_ISDIR(st.st_mode)) ? 0 : errno;
	_exit(write(ends[1], &result, sizeof result) != sizeof result);
}

static int report(const char *path, int fd, double start_ms, double limit_ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	double left_ms = start_ms + limit_ms - now_ms();
	int error = EPIPE;

	if (poll(&wait, 1, left_ms > 0 ? (int)left_ms : 0) == 0) {
		printf("blocked\t%.1f\t%s\n", now_ms() - start_ms, path);
		return 3;
	}
	if (read(fd, &error, sizeof error) == sizeof error && error == 0) {
		printf("done\t%.1f\t%s\n", now_ms() - start_ms, path);
		return 0;
	}
	printf("error\t%s\t%s\n", strerrorname_np(error), path);
	return 1;
}

int main(int argc, char **argv)
{
	double limit_ms = 10000, start_ms;
	int option, status = 0;
	int *fds;

	while ((option = getopt(argc, argv, "rst:")) != -1) {
		if (option == 'r')
			reading = true;
		else if (option == 's')
			syncing = true;
		else if (option == 't')
			limit_ms = atof(optarg) * 1000;
		else
			return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* somebody may wait for the first ones */
	fds = calloc((size_t)argc, sizeof *fds);
	if (!fds)
		return 1;
	start_ms = now_ms();
	for (int i = optind; i < argc; i++)
		fds[i] = start(argv[i]);
	for (int i = optind; i < argc; i++) {
		int result = report(argv[i], fds[i], start_ms, limit_ms);

		if (status != 1 && result != 0)
			status = result;
	}
	free(fds);
	return status;
}
