/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the process that reads mount tables, and the questions to it. Invariant: a question is
 * answered once, and never within sf_scout_ask(). Called by preparation, evidence and recovery.
 */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/plan-variant.h"
#include "agent/process.h"
#include "agent/scout-child.h"
#include "agent/scout.h"
#include "protocol/error.h"

/* More than a plan of 4,096 targets takes, and of all that is left out beside them. */
#define MAX_ANSWER (256u << 20)

struct SfScout {
	int fd; /* -1: it has failed, and is asked no more */
	pid_t pid;
	guint readable, deadline;
	GByteArray *received;
	SfScoutQuestion question;
	unsigned int timeout_ms;
	SfScoutDone done; /* NULL: nothing is asked */
	gpointer user_data;
	char *failure; /* (nullable): for good */
};

static const char *answer_type(SfScoutQuestion question)
{
	switch (question) {
	case SF_SCOUT_PLAN:
		return SF_PLAN_VARIANT_TYPE;
	case SF_SCOUT_WAYS:
		return SF_SCOUT_WAYS_TYPE;
	case SF_SCOUT_AFTER_FREEZE:
	case SF_SCOUT_BEFORE_THAW:
		return "aay";
	default:
		return "y";
	}
}

static void end_process(SfScout *scout)
{
	g_clear_handle_id(&scout->readable, g_source_remove);
	g_clear_handle_id(&scout->deadline, g_source_remove);
	if (scout->fd < 0)
		return;
	close(scout->fd);
	scout->fd = -1;
	kill(scout->pid, SIGKILL);
	sf_process_reap(scout->pid);
}

void sf_scout_free(SfScout *scout)
{
	if (!scout)
		return;
	end_process(scout);
	g_byte_array_unref(scout->received);
	g_free(scout->failure);
	g_free(scout);
}

/* The scout may be freed by whom this tells. */
static void answer(SfScout *scout, GVariant *variant, const GError *error)
{
	SfScoutDone done = scout->done;

	scout->done = NULL;
	g_clear_handle_id(&scout->deadline, g_source_remove);
	g_byte_array_set_size(scout->received, 0);
	done(variant, error, scout->user_data);
}

/* It is of no use any more: who did not answer once may answer the next question with that. */
static void fail(SfScout *scout)
{
	g_autoptr(GError) error = NULL;

	end_process(scout);
	sf_throw(&error, "%s", scout->failure);
	if (scout->done)
		answer(scout, NULL, error);
}

/* Or it talks nonsense, which is worth no more. */
static void fail_as_ended(SfScout *scout)
{
	scout->failure = g_strdup("the process that reads the mount tables has ended");
	fail(scout);
}

static gboolean on_deadline(gpointer user_data)
{
	SfScout *scout = user_data;

	scout->deadline = 0;
	if (!scout->failure)
		scout->failure = g_strdup_printf("the mount tables were not read within %g s",
						 scout->timeout_ms / 1000.0);
	fail(scout);
	return G_SOURCE_REMOVE;
}

/* @size: of the content */
static void take_answer(SfScout *scout, char kind, gsize size)
{
	const guint8 *content = scout->received->data + sizeof(SfScoutHeader);
	g_autoptr(GVariant) variant = NULL;
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(GError) error = NULL;

	if (kind == SF_SCOUT_FAILED) {
		sf_throw(&error, "%.*s", (int)MIN(size, 65536), (const char *)content);
		answer(scout, NULL, error);
		return;
	}
	bytes = g_bytes_new(content, size);
	variant = g_variant_ref_sink(
		g_variant_new_from_bytes(G_VARIANT_TYPE(answer_type(scout->question)), bytes,
					 FALSE));
	if (g_variant_is_normal_form(variant)) {
		answer(scout, variant, NULL);
		return;
	}
	fail_as_ended(scout);
}

/* Returns whether there may be more; false where the process has ended. */
static bool receive(SfScout *scout)
{
	guint8 buffer[65536];
	ssize_t n = recv(scout->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0 || !scout->done || scout->received->len + n > MAX_ANSWER)
		return false;
	g_byte_array_append(scout->received, buffer, n);
	return true;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	SfScout *scout = user_data;
	SfScoutHeader header;

	if (!receive(scout)) {
		scout->readable = 0;
		fail_as_ended(scout);
		return G_SOURCE_REMOVE;
	}
	if (scout->received->len < sizeof(header))
		return G_SOURCE_CONTINUE;
	memcpy(&header, scout->received->data, sizeof(header));
	if (scout->received->len >= sizeof(header) + (gsize)header.size)
		take_answer(scout, header.kind, header.size);
	return G_SOURCE_CONTINUE;
}

void sf_scout_ask(SfScout *scout, SfScoutQuestion question, unsigned int timeout_ms,
		  SfScoutDone done, gpointer user_data)
{
	char byte = question;

	g_assert(!scout->done);
	scout->question = question;
	scout->timeout_ms = timeout_ms;
	scout->done = done;
	scout->user_data = user_data;
	/* One that has failed says so in its own time, like any other answer. */
	if (scout->fd >= 0)
		(void)!send(scout->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	scout->deadline = g_timeout_add(scout->fd >= 0 ? timeout_ms : 0, on_deadline, scout);
}

bool sf_scout_is_asked(const SfScout *scout)
{
	return scout->done != NULL;
}

SfScout *sf_scout_start(const SfPlanSource *source, const char *const *mountpoints,
			const GArray *devices, GError **error)
{
	SfScoutWork work = {source, mountpoints, devices, -1};
	SfScout *scout;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		sf_throw_errno(error, "make a socket pair");
		return NULL;
	}
	work.socket_fd = pair[1];
	pid = sf_process_run_child(&pair[1], 1, sf_scout_child_run, &work);
	if (pid < 0) {
		sf_throw_errno(error, "start the process that reads the mount tables");
		close(pair[0]);
		close(pair[1]);
		return NULL;
	}
	close(pair[1]);
	scout = g_new0(SfScout, 1);
	scout->fd = pair[0];
	scout->pid = pid;
	scout->received = g_byte_array_new();
	scout->readable =
		g_unix_fd_add(scout->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, scout);
	return scout;
}
