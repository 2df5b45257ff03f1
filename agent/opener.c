/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the child that opens the targets of a plan, and the receiving of its fds. Invariant: the
 * targets below @next are open, the others are not; whoever ends the opener otherwise than by
 * opening all closes them again. The child is not reaped before the end, so that its pid stays its
 * own. Called by the session.
 */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/opener-child.h"
#include "agent/opener.h"
#include "agent/process.h"
#include "agent/passed-fd.h"
#include "protocol/error.h"

/* How many are taken before other sources of the loop get their turn. */
#define MAX_AT_ONCE 64

struct SfOpener {
	SfPlan *plan;
	unsigned timeout_ms;
	SfOpenerDone done;
	gpointer user_data;
	guint next;    /* the target that the child is at */
	pid_t pid;     /* 0: there is no child */
	int socket_fd; /* -1: there is none */
	guint readable, deadline, idle;
	GError *error;
};

static void close_targets(SfOpener *opener)
{
	for (guint i = 0; i < opener->next; i++) {
		SfTarget *target = g_ptr_array_index(opener->plan->targets, i);

		close(target->fd);
		target->fd = -1;
	}
}

static void clear_source(guint *source)
{
	if (*source != 0)
		g_source_remove(*source);
	*source = 0;
}

static void opener_free(SfOpener *opener)
{
	clear_source(&opener->readable);
	clear_source(&opener->deadline);
	clear_source(&opener->idle);
	if (opener->socket_fd >= 0)
		close(opener->socket_fd);
	if (opener->pid > 0) {
		/* It may hang in the kernel where no signal reaches it: the main loop reaps it
		 * whenever that ends. */
		kill(opener->pid, SIGKILL);
		sf_process_reap(opener->pid);
	}
	g_clear_error(&opener->error);
	g_free(opener);
}

static void finish(SfOpener *opener)
{
	if (opener->error)
		close_targets(opener);
	opener->done(opener->error, opener->user_data);
	opener_free(opener);
}

static const char *path_in_work(const SfOpener *opener)
{
	const SfTarget *target = g_ptr_array_index(opener->plan->targets, opener->next);

	return target->name;
}

static void explain(SfOpener *opener, const SfOpenerMessage *message)
{
	const char *path = path_in_work(opener);

	if (message->result == SF_OPENER_FAILED) {
		errno = message->error;
		sf_throw_errno(&opener->error, "open '%s'", path);
	} else if (message->result == SF_OPENER_OTHER_FILESYSTEM) {
		sf_throw(&opener->error, "'%s' is another filesystem by now", path);
	} else if (message->result == SF_OPENER_NO_FILE) {
		sf_throw(&opener->error, "'%s' is neither a folder nor a file", path);
	} else {
		sf_throw(&opener->error, "open '%s': no descriptor is left for it", path);
	}
}

/* Returns whether there may be more to receive now. */
static bool receive(SfOpener *opener)
{
	SfOpenerMessage message;
	SfTarget *target = g_ptr_array_index(opener->plan->targets, opener->next);
	int fd;
	ssize_t n = sf_passed_fd_receive(opener->socket_fd, &message, sizeof(message), &fd);

	/* The kernel looks at the queue first and at the end after that, so a child that sends its
	 * last and exits in between seems to have sent nothing (net/unix/af_unix.c,
	 * unix_dgram_recvmsg): the second look finds it. */
	if (n == 0)
		n = sf_passed_fd_receive(opener->socket_fd, &message, sizeof(message), &fd);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n != sizeof(message) || message.number != opener->next) {
		sf_throw(&opener->error, "the process that opens filesystems ended at '%s'",
			 path_in_work(opener));
		return false;
	}
	target->fd = fd;
	if (fd < 0) {
		explain(opener, &message);
		return false;
	}
	opener->next++;
	return true;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	SfOpener *opener = user_data;
	guint n = opener->plan->targets->len;

	for (int i = 0; i < MAX_AT_ONCE && opener->next < n; i++)
		if (!receive(opener))
			break;
	if (!opener->error && opener->next < n)
		return G_SOURCE_CONTINUE;
	opener->readable = 0;
	finish(opener);
	return G_SOURCE_REMOVE;
}

static gboolean on_deadline(gpointer user_data)
{
	SfOpener *opener = user_data;

	opener->deadline = 0;
	sf_throw(&opener->error, "open '%s': not done within %u ms", path_in_work(opener),
		 opener->timeout_ms);
	finish(opener);
	return G_SOURCE_REMOVE;
}

static gboolean on_idle(gpointer user_data)
{
	SfOpener *opener = user_data;

	opener->idle = 0;
	finish(opener);
	return G_SOURCE_REMOVE;
}

typedef struct {
	const SfPlan *plan;
	int socket_fd;
} ChildWork;

static void run_child(const void *user_data)
{
	const ChildWork *work = user_data;

	sf_opener_child_run(work->plan, work->socket_fd);
}

static bool start_child(SfOpener *opener)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return sf_throw_errno(&opener->error, "make a socket pair");
	opener->socket_fd = pair[0];
	ChildWork work = {opener->plan, pair[1]};
	opener->pid = sf_child_fork(run_child, &work);
	if (opener->pid < 0)
		sf_throw_errno(&opener->error, "start the process that opens filesystems");
	close(pair[1]);
	return opener->error == NULL;
}

SfOpener *sf_opener_start(SfPlan *plan, unsigned timeout_ms, SfOpenerDone done, gpointer user_data)
{
	SfOpener *opener = g_new0(SfOpener, 1);

	opener->plan = plan;
	opener->timeout_ms = timeout_ms;
	opener->done = done;
	opener->user_data = user_data;
	opener->socket_fd = -1;
	if (plan->targets->len == 0 || !start_child(opener)) {
		opener->idle = g_idle_add(on_idle, opener);
		return opener;
	}
	opener->readable = g_unix_fd_add(opener->socket_fd, G_IO_IN | G_IO_HUP | G_IO_ERR,
					 on_readable, opener);
	opener->deadline = g_timeout_add(timeout_ms, on_deadline, opener);
	return opener;
}

void sf_opener_cancel(SfOpener *opener)
{
	close_targets(opener);
	opener_free(opener);
}
