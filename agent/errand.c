/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the children that do what may block, and the collecting of what they write. Invariant: each
 * is answered once and outlives neither its time limit nor the agent, except inside the kernel.
 * Called by commands.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/errand.h"
#include "agent/process.h"

/* More than the longest reply can hold. */
#define MAX_OUTPUT (16 << 20)

typedef struct {
	pid_t pid; /* 0: there is none */
	int fd;    /* -1: there is none */
	guint readable, deadline;
	unsigned int timeout_ms;
	GByteArray *output;
	bool is_whole;
	SfErrandDone done;
	gpointer user_data;
} Errand;

typedef struct {
	SfErrandWork work;
	gpointer work_data;
	int fd;
} Child;

static void ignore_exit(GPid pid, int status, gpointer user_data)
{
}

static void clear_source(guint *source)
{
	if (*source != 0)
		g_source_remove(*source);
	*source = 0;
}

static void finish(Errand *errand)
{
	clear_source(&errand->readable);
	clear_source(&errand->deadline);
	if (errand->fd >= 0)
		close(errand->fd);
	if (errand->pid > 0) {
		kill(errand->pid, SIGKILL);
		g_child_watch_add(errand->pid, ignore_exit, NULL);
	}
	errand->done(errand->output, errand->is_whole, errand->user_data);
	g_byte_array_unref(errand->output);
	g_free(errand);
}

static gboolean on_deadline(gpointer user_data)
{
	Errand *errand = user_data;

	errand->deadline = 0;
	finish(errand);
	return G_SOURCE_REMOVE;
}

static void start_deadline(Errand *errand)
{
	clear_source(&errand->deadline);
	if (errand->timeout_ms > 0)
		errand->deadline = g_timeout_add(errand->timeout_ms, on_deadline, errand);
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	Errand *errand = user_data;
	guint8 buffer[16384];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n > 0 && errand->output->len + n <= MAX_OUTPUT) {
		g_byte_array_append(errand->output, buffer, n);
		start_deadline(errand);
		return G_SOURCE_CONTINUE;
	}
	errand->is_whole = n == 0;
	errand->readable = 0;
	finish(errand);
	return G_SOURCE_REMOVE;
}

static int run_child(void *data)
{
	Child *child = data;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child->work(child->fd, child->work_data);
	return 0;
}

static bool start_child(Errand *errand, SfErrandWork work, gpointer work_data)
{
	int fds[2];

	if (!g_unix_open_pipe(fds, FD_CLOEXEC, NULL))
		return false;
	Child child = {work, work_data, fds[1]};
	errand->fd = fds[0];
	errand->pid = sf_process_run_child(&fds[1], 1, run_child, &child);
	close(fds[1]);
	return errand->pid > 0;
}

void sf_errand_start(SfErrandWork work, gpointer work_data, unsigned int timeout_ms,
		     SfErrandDone done, gpointer user_data)
{
	Errand *errand = g_new0(Errand, 1);

	errand->fd = -1;
	errand->timeout_ms = timeout_ms;
	errand->output = g_byte_array_new();
	errand->done = done;
	errand->user_data = user_data;
	if (!start_child(errand, work, work_data)) {
		errand->deadline = g_idle_add(on_deadline, errand);
		return;
	}
	errand->readable =
		g_unix_fd_add(errand->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, errand);
	start_deadline(errand);
}

char *sf_errand_text(const GByteArray *output)
{
	/* An array that never held anything has no data. */
	return output->len > 0 ? g_strndup((const char *)output->data, output->len) : g_strdup("");
}

bool sf_errand_write(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		at += n;
		size -= n;
	}
	return true;
}
