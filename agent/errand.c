/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the children that do what may block, and the collecting of what they write. Invariant: each
 * is answered once and outlives neither its time limit nor the agent, except inside the kernel; who
 * does that counts until it is gone. Called by commands, files and hooks.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/errand.h"
#include "agent/process.h"

/* More than any of them has to say: what guest-file-read may ask for. */
#define MAX_OUTPUT (64 << 20)
/* Who asks again and again about a disk that is dead must not fill the machine with processes. */
#define MAX_CHILDREN 64

struct SfErrands {
	GHashTable *running;  /* set of Errand */
	GHashTable *children; /* pid -> the source that waits for its end, or 0 while it runs */
};

typedef struct {
	SfErrands *errands;
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

SfErrands *sf_errands_new(void)
{
	SfErrands *errands = g_new0(SfErrands, 1);

	errands->running = g_hash_table_new(NULL, NULL);
	errands->children = g_hash_table_new(NULL, NULL);
	return errands;
}

static void on_exit_of_child(GPid pid, int status, gpointer user_data)
{
	SfErrands *errands = user_data;

	g_hash_table_remove(errands->children, GINT_TO_POINTER(pid));
}

/* It may hang in the kernel where no signal reaches it: the main loop reaps it whenever that ends.
 */
static void let_go(SfErrands *errands, pid_t pid)
{
	guint source;

	kill(pid, SIGKILL);
	source = g_child_watch_add(pid, on_exit_of_child, errands);
	g_hash_table_insert(errands->children, GINT_TO_POINTER(pid), GUINT_TO_POINTER(source));
}

static void errand_free(Errand *errand)
{
	g_clear_handle_id(&errand->readable, g_source_remove);
	g_clear_handle_id(&errand->deadline, g_source_remove);
	if (errand->fd >= 0)
		close(errand->fd);
	if (errand->pid > 0)
		let_go(errand->errands, errand->pid);
	g_hash_table_remove(errand->errands->running, errand);
	g_byte_array_unref(errand->output);
	g_free(errand);
}

static void finish(Errand *errand)
{
	g_autoptr(GByteArray) output = g_byte_array_ref(errand->output);
	SfErrandDone done = errand->done;
	gpointer user_data = errand->user_data;
	bool is_whole = errand->is_whole;

	errand_free(errand);
	done(output, is_whole, user_data);
}

void sf_errands_free(SfErrands *errands)
{
	GHashTableIter iter;
	gpointer errand, source;

	if (!errands)
		return;
	g_hash_table_iter_init(&iter, errands->running);
	while (g_hash_table_iter_next(&iter, &errand, NULL)) {
		g_hash_table_iter_remove(&iter);
		errand_free(errand);
	}
	g_hash_table_iter_init(&iter, errands->children);
	while (g_hash_table_iter_next(&iter, NULL, &source))
		if (source)
			g_source_remove(GPOINTER_TO_UINT(source));
	g_hash_table_unref(errands->running);
	g_hash_table_unref(errands->children);
	g_free(errands);
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
	g_clear_handle_id(&errand->deadline, g_source_remove);
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

	/* GLib's handlers write to descriptors that are closed here, or another file's. */
	sf_child_reset_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child->work(child->fd, child->work_data);
	return 0;
}

static bool start_child(Errand *errand, int keep_fd, SfErrandWork work, gpointer work_data)
{
	int fds[2];

	if (g_hash_table_size(errand->errands->children) >= MAX_CHILDREN)
		return false;
	if (!g_unix_open_pipe(fds, FD_CLOEXEC, NULL))
		return false;
	Child child = {work, work_data, fds[1]};
	int keep[] = {fds[1], keep_fd};
	errand->fd = fds[0];
	errand->pid = sf_process_run_child(keep, keep_fd >= 0 ? 2 : 1, run_child, &child);
	close(fds[1]);
	if (errand->pid > 0)
		g_hash_table_insert(errand->errands->children, GINT_TO_POINTER(errand->pid), NULL);
	return errand->pid > 0;
}

void sf_errand_start_with(SfErrands *errands, int keep_fd, SfErrandWork work, gpointer work_data,
			  unsigned int timeout_ms, SfErrandDone done, gpointer user_data)
{
	Errand *errand = g_new0(Errand, 1);

	errand->errands = errands;
	errand->fd = -1;
	errand->timeout_ms = timeout_ms;
	errand->output = g_byte_array_new();
	errand->done = done;
	errand->user_data = user_data;
	g_hash_table_add(errands->running, errand);
	if (!start_child(errand, keep_fd, work, work_data)) {
		errand->deadline = g_idle_add(on_deadline, errand);
		return;
	}
	errand->readable =
		g_unix_fd_add(errand->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, errand);
	start_deadline(errand);
}

void sf_errand_start(SfErrands *errands, SfErrandWork work, gpointer work_data,
		     unsigned int timeout_ms, SfErrandDone done, gpointer user_data)
{
	sf_errand_start_with(errands, -1, work, work_data, timeout_ms, done, user_data);
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
