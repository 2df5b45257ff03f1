/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the programs that hosts have started: their start, their input, their end. Invariant: a
 * program is in the table from its fork until it was asked for after its end. Called by the exec
 * commands.
 */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/exec-child.h"
#include "agent/exec-output.h"
#include "agent/exec-pipes.h"
#include "agent/execs.h"
#include "protocol/error.h"

#define MAX_PROGRAMS 64
/* To look at the program's file may wait for a disk or another machine. */
#define START_TIMEOUT_MS 30000
/* How long output is waited for after the end; what the program left running may hold it open. */
#define GRACE_MS 1000

typedef struct {
	SfExecs *execs; /* NULL: it was given up, and is only reaped */
	pid_t pid;
	SfExecStarted started; /* NULL: it was called */
	gpointer user_data;
	char *name;
	int failed; /* -1: closed */
	guint failed_source, deadline, child_source, grace;
	GBytes *input;
	gsize written;
	int in; /* -1: closed */
	guint in_source;
	SfExecOutput out, err;
	bool has_ended, is_done;
	int status;
} Program;

struct SfExecs {
	GHashTable *programs; /* pid -> Program */
	GQueue order;         /* of Program, the oldest first */
	gsize kept;           /* bytes of output */
};

static void clear_fd(int *fd, guint *source)
{
	g_clear_handle_id(source, g_source_remove);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* All but the waiting for its end. */
static void program_detach(Program *program)
{
	SfExecs *execs = program->execs;

	clear_fd(&program->failed, &program->failed_source);
	clear_fd(&program->in, &program->in_source);
	g_clear_handle_id(&program->deadline, g_source_remove);
	g_clear_handle_id(&program->grace, g_source_remove);
	sf_exec_output_clear(&program->out);
	sf_exec_output_clear(&program->err);
	g_clear_pointer(&program->input, g_bytes_unref);
	g_hash_table_remove(execs->programs, GINT_TO_POINTER(program->pid));
	g_queue_remove(&execs->order, program);
	g_clear_pointer(&program->name, g_free);
	program->execs = NULL;
}

static void program_free(Program *program)
{
	program_detach(program);
	g_clear_handle_id(&program->child_source, g_source_remove);
	g_free(program);
}

SfExecs *sf_execs_new(void)
{
	SfExecs *execs = g_new0(SfExecs, 1);

	execs->programs = g_hash_table_new(NULL, NULL);
	g_queue_init(&execs->order);
	return execs;
}

void sf_execs_free(SfExecs *execs)
{
	if (!execs)
		return;
	while (!g_queue_is_empty(&execs->order))
		program_free(g_queue_peek_head(&execs->order));
	g_hash_table_unref(execs->programs);
	g_free(execs);
}

static void look_whether_done(gpointer user_data)
{
	Program *program = user_data;
	bool is_silent = program->out.fd < 0 && program->err.fd < 0;

	if (program->has_ended && is_silent) {
		g_clear_handle_id(&program->grace, g_source_remove);
		program->is_done = true;
	}
}

static gboolean on_in(int fd, GIOCondition condition, gpointer user_data)
{
	Program *program = user_data;
	gsize size;
	const char *data = g_bytes_get_data(program->input, &size);
	ssize_t n = write(program->in, data + program->written, size - program->written);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n > 0)
		program->written += n;
	if (n > 0 && program->written < size)
		return G_SOURCE_CONTINUE;
	program->in_source = 0;
	clear_fd(&program->in, &program->in_source);
	return G_SOURCE_REMOVE;
}

static void tell_started(Program *program, const GError *error)
{
	SfExecStarted started = program->started;

	clear_fd(&program->failed, &program->failed_source);
	g_clear_handle_id(&program->deadline, g_source_remove);
	program->started = NULL;
	started(program->pid, error, program->user_data);
}

/* It never was the host's program: nobody is going to ask how it ended. It is reaped by the watch
 * that it has: a second one could find it reaped already. */
static void give_up(Program *program, int reason)
{
	g_autoptr(GError) error = NULL;

	/* The words of qemu-ga and of GLib, with its quotes. */
	sf_throw(&error,
		 "Guest agent command failed, error was 'Failed to execute child process "
		 "\u201C%s\u201D (%s)'",
		 program->name, g_strerror(reason));
	tell_started(program, error);
	if (program->has_ended) {
		program_free(program);
		return;
	}
	program_detach(program);
}

static gboolean on_failed(int fd, GIOCondition condition, gpointer user_data)
{
	Program *program = user_data;
	int reason;
	ssize_t n = read(fd, &reason, sizeof(reason));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	program->failed_source = 0;
	if (n == sizeof(reason))
		give_up(program, reason);
	else
		tell_started(program, NULL);
	return G_SOURCE_REMOVE;
}

static gboolean on_deadline(gpointer user_data)
{
	Program *program = user_data;

	program->deadline = 0;
	/* Its exec has not ended, so neither has it. */
	kill(program->pid, SIGKILL);
	give_up(program, ETIMEDOUT);
	return G_SOURCE_REMOVE;
}

static gboolean on_grace(gpointer user_data)
{
	Program *program = user_data;

	program->grace = 0;
	sf_exec_output_close(&program->out);
	sf_exec_output_close(&program->err);
	look_whether_done(program);
	return G_SOURCE_REMOVE;
}

static void on_child(GPid pid, int status, gpointer user_data)
{
	Program *program = user_data;

	program->child_source = 0;
	if (!program->execs) {
		g_free(program);
		return;
	}
	program->has_ended = true;
	program->status = status;
	program->grace = g_timeout_add(GRACE_MS, on_grace, program);
	look_whether_done(program);
}

static void watch(Program *program)
{
	program->failed_source =
		g_unix_fd_add(program->failed, G_IO_IN | G_IO_HUP, on_failed, program);
	program->deadline = g_timeout_add(START_TIMEOUT_MS, on_deadline, program);
	program->child_source = g_child_watch_add(program->pid, on_child, program);
	if (program->in >= 0)
		program->in_source =
			g_unix_fd_add(program->in, G_IO_OUT | G_IO_ERR, on_in, program);
}

static void add_program(SfExecs *execs, pid_t pid, const SfExecRequest *request, SfExecPipes *pipes,
			SfExecStarted started, gpointer user_data)
{
	Program *program = g_new0(Program, 1);

	program->execs = execs;
	program->pid = pid;
	program->started = started;
	program->user_data = user_data;
	program->name = g_strdup(request->argv[0]);
	program->failed = sf_child_take_fd(&pipes->failed[0]);
	program->in = sf_child_take_fd(&pipes->in[1]);
	program->input = request->input ? g_bytes_ref(request->input) : NULL;
	sf_exec_output_init(&program->out, sf_child_take_fd(&pipes->out[0]), &execs->kept,
			    look_whether_done, program);
	sf_exec_output_init(&program->err, sf_child_take_fd(&pipes->err[0]), &execs->kept,
			    look_whether_done, program);
	g_hash_table_insert(execs->programs, GINT_TO_POINTER(pid), program);
	g_queue_push_tail(&execs->order, program);
	watch(program);
}

/* One that has ended long ago, and nobody asks for, makes room. */
static bool make_room(SfExecs *execs, GError **error)
{
	if (g_queue_get_length(&execs->order) < MAX_PROGRAMS)
		return true;
	for (GList *at = execs->order.head; at; at = at->next) {
		Program *program = at->data;

		if (!program->is_done)
			continue;
		program_free(program);
		return true;
	}
	return sf_throw(error, "%d programs run already", MAX_PROGRAMS);
}

static pid_t start(SfExecs *execs, const SfExecRequest *request, SfExecPipes *pipes, GError **error)
{
	SfExecChild child = {.argv = request->argv, .envp = request->envp};
	pid_t pid;

	if (!make_room(execs, error) ||
	    !sf_exec_pipes_open(pipes, request->input != NULL, request->capture, error))
		return -1;
	child.in = pipes->in[0];
	child.out = pipes->out[1];
	child.err = pipes->err[1];
	child.failed = pipes->failed[1];
	pid = sf_exec_child_fork(&child);
	if (pid < 0)
		sf_throw_errno(error, "start a process");
	return pid;
}

void sf_execs_start(SfExecs *execs, const SfExecRequest *request, SfExecStarted started,
		    gpointer user_data)
{
	SfExecPipes pipes;
	g_autoptr(GError) error = NULL;
	Program *stale = NULL;

	sf_exec_pipes_init(&pipes);
	pid_t pid = start(execs, request, &pipes, &error);
	if (pid > 0)
		stale = g_hash_table_lookup(execs->programs, GINT_TO_POINTER(pid));

	/* The kernel has given the number of one that is gone to another. */
	if (stale)
		program_free(stale);
	if (pid > 0)
		add_program(execs, pid, request, &pipes, started, user_data);
	sf_exec_pipes_clear(&pipes);
	if (error)
		started(-1, error, user_data);
}

bool sf_execs_ask(SfExecs *execs, int64_t pid,
		  void (*visit)(const SfExecStatus *status, gpointer user_data), gpointer user_data)
{
	Program *program = NULL;
	SfExecStatus status;

	if (pid > 0 && pid <= G_MAXINT)
		program = g_hash_table_lookup(execs->programs, GINT_TO_POINTER((int)pid));
	if (!program)
		return false;
	status = (SfExecStatus){
		.has_exited = program->is_done,
		.status = program->status,
		.out = program->out.data,
		.err = program->err.data,
		.out_truncated = program->out.is_truncated,
		.err_truncated = program->err.is_truncated,
	};
	visit(&status, user_data);
	if (program->is_done)
		program_free(program);
	return true;
}
