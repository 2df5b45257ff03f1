/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns one run of another program: its process and its output, which is bounded. No shell. Called
 * by virsh.c. */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/child.h"
#include "protocol/lines.h"

#define OUTPUT_MAX (64 * 1024 * 1024)
#define ERROR_MAX 65536

struct SfChild {
	GPid pid; /* 0: it has ended */
	int out_fd;
	int err_fd;
	GString *out;
	GString *err;
	bool has_succeeded;
};

SfChild *sf_child_start(const char *const *argv, GError **error)
{
	g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
	SfChild *child = g_new0(SfChild, 1);

	if (!g_spawn_async_with_pipes(NULL, (char **)argv, environment,
				      G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
				      &child->pid, NULL, &child->out_fd, &child->err_fd, error)) {
		g_free(child);
		return NULL;
	}
	child->out = g_string_new(NULL);
	child->err = g_string_new(NULL);
	(void)g_unix_set_fd_nonblocking(child->out_fd, TRUE, NULL);
	(void)g_unix_set_fd_nonblocking(child->err_fd, TRUE, NULL);
	return child;
}

static void reap(SfChild *child)
{
	int status;

	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
	child->has_succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void sf_child_free(SfChild *child)
{
	if (!child)
		return;
	if (child->pid) {
		kill(child->pid, SIGKILL);
		reap(child);
	}
	close(child->out_fd);
	close(child->err_fd);
	g_string_free(child->out, TRUE);
	g_string_free(child->err, TRUE);
	g_free(child);
}

int sf_child_fd(const SfChild *child)
{
	return child->out_fd;
}

/* What is too much is dropped. Returns: whether there may come more */
static bool drain(int fd, GString *text, size_t max)
{
	char chunk[4096];
	ssize_t len;

	while ((len = read(fd, chunk, sizeof(chunk))) > 0)
		g_string_append_len(text, chunk, (gssize)MIN((size_t)len, max - text->len));
	return len < 0 && (errno == EAGAIN || errno == EINTR);
}

bool sf_child_step(SfChild *child)
{
	bool is_open = drain(child->out_fd, child->out, OUTPUT_MAX);

	(void)drain(child->err_fd, child->err, ERROR_MAX);
	if (child->pid && !is_open) {
		reap(child);
		(void)drain(child->err_fd, child->err, ERROR_MAX);
	}
	return child->pid == 0;
}

bool sf_child_wait(SfChild *child, unsigned int timeout_ms)
{
	int64_t deadline_us = sf_deadline_after(timeout_ms);

	while (!sf_child_step(child)) {
		struct pollfd entry = {.fd = child->out_fd, .events = POLLIN};
		int64_t left_ms = (deadline_us - g_get_monotonic_time()) / 1000;

		if (left_ms <= 0)
			return false;
		poll(&entry, 1, (int)MIN(left_ms + 1, G_MAXINT));
	}
	return true;
}

bool sf_child_succeeded(const SfChild *child)
{
	return child->has_succeeded;
}

const char *sf_child_output(const SfChild *child)
{
	return child->out->str;
}

const char *sf_child_complaint(SfChild *child)
{
	const char *line;

	g_strchomp(child->err->str);
	line = strrchr(child->err->str, '\n');
	line = line ? line + 1 : child->err->str;
	if (g_str_has_prefix(line, "error: "))
		line += strlen("error: ");
	return *line ? line : "no reason given";
}
