/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the programs that hosts have started: their pipes, their output, their end. Invariant: a
 * program is in the table from its fork until it was asked for after its end; its output is read to
 * the end even where no more of it is kept, so that it never waits for us. Called by the exec
 * commands.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

#include "agent/exec-child.h"
#include "agent/execs.h"
#include "protocol/error.h"

#define MAX_PROGRAMS 64
#define MAX_OUTPUT (16 << 20)
#define MAX_OUTPUT_OF_ALL (64 << 20)
/* To look at the program's file may wait for a disk or another machine. */
#define START_TIMEOUT_MS 30000
/* How long output is waited for after the end; what the program left running may hold it open. */
#define GRACE_MS 1000

typedef struct {
	int fd; /* -1: closed, or never captured */
	guint source;
	GByteArray *data;
	bool is_truncated;
} Stream;

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
	Stream out, err;
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

static void stream_clear(SfExecs *execs, Stream *stream)
{
	clear_fd(&stream->fd, &stream->source);
	execs->kept -= stream->data->len;
	g_byte_array_unref(stream->data);
}

/* All but the waiting for its end. */
static void program_detach(Program *program)
{
	SfExecs *execs = program->execs;

	clear_fd(&program->failed, &program->failed_source);
	clear_fd(&program->in, &program->in_source);
	g_clear_handle_id(&program->deadline, g_source_remove);
	g_clear_handle_id(&program->grace, g_source_remove);
	stream_clear(execs, &program->out);
	stream_clear(execs, &program->err);
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

static void look_whether_done(Program *program)
{
	bool is_silent = program->out.fd < 0 && program->err.fd < 0;

	if (program->has_ended && is_silent) {
		g_clear_handle_id(&program->grace, g_source_remove);
		program->is_done = true;
	}
}

/* ---- output, input */

static void keep(Program *program, Stream *stream, const guint8 *data, gsize size)
{
	gsize room = MAX_OUTPUT - stream->data->len;

	room = MIN(room, MAX_OUTPUT_OF_ALL - program->execs->kept);
	if (size > room)
		stream->is_truncated = true;
	size = MIN(size, room);
	if (size > 0)
		g_byte_array_append(stream->data, data, size);
	program->execs->kept += size;
}

/* Returns whether there may be more. */
static bool read_stream(Program *program, Stream *stream)
{
	guint8 buffer[16384];
	ssize_t n = read(stream->fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n > 0) {
		keep(program, stream, buffer, n);
		return true;
	}
	return false;
}

static gboolean on_stream(Program *program, Stream *stream)
{
	if (read_stream(program, stream))
		return G_SOURCE_CONTINUE;
	stream->source = 0;
	clear_fd(&stream->fd, &stream->source);
	look_whether_done(program);
	return G_SOURCE_REMOVE;
}

static gboolean on_out(int fd, GIOCondition condition, gpointer user_data)
{
	Program *program = user_data;

	return on_stream(program, &program->out);
}

static gboolean on_err(int fd, GIOCondition condition, gpointer user_data)
{
	Program *program = user_data;

	return on_stream(program, &program->err);
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

/* ---- start, end */

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

	sf_throw(&error, "Failed to execute child process '%s' (%s)", program->name,
		 g_strerror(reason));
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
	clear_fd(&program->out.fd, &program->out.source);
	clear_fd(&program->err.fd, &program->err.source);
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

/* The fds that the child gets, and those that we keep. */
typedef struct {
	int in[2], out[2], err[2], failed[2];
} Pipes;

static void pipes_clear(Pipes *pipes)
{
	int *all[] = {pipes->in, pipes->out, pipes->err, pipes->failed};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		for (int j = 0; j < 2; j++)
			if (all[i][j] >= 0)
				close(all[i][j]);
}

static bool open_pipe(int *fds, int ours, GError **error)
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		return sf_throw_errno(error, "make a pipe");
	g_unix_set_fd_nonblocking(fds[ours], TRUE, NULL);
	return true;
}

static bool open_null(int *fd, int flags, GError **error)
{
	*fd = open("/dev/null", flags | O_CLOEXEC);
	return *fd >= 0 || sf_throw_errno(error, "open '/dev/null'");
}

static bool open_err(Pipes *pipes, SfCapture capture, GError **error)
{
	if (capture == SF_CAPTURE_STDERR || capture == SF_CAPTURE_SEPARATED)
		return open_pipe(pipes->err, 0, error);
	if (capture != SF_CAPTURE_MERGED)
		return open_null(&pipes->err[1], O_WRONLY, error);
	pipes->err[1] = fcntl(pipes->out[1], F_DUPFD_CLOEXEC, 3);
	return pipes->err[1] >= 0 || sf_throw_errno(error, "copy a descriptor");
}

static bool open_pipes(Pipes *pipes, const SfExecRequest *request, GError **error)
{
	bool has_out = request->capture == SF_CAPTURE_STDOUT ||
		       request->capture == SF_CAPTURE_SEPARATED ||
		       request->capture == SF_CAPTURE_MERGED;

	*pipes = (Pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	if (!open_pipe(pipes->failed, 0, error))
		return false;
	if (!(request->input ? open_pipe(pipes->in, 1, error)
			     : open_null(&pipes->in[0], O_RDONLY, error)))
		return false;
	if (!(has_out ? open_pipe(pipes->out, 0, error)
		      : open_null(&pipes->out[1], O_WRONLY, error)))
		return false;
	return open_err(pipes, request->capture, error);
}

static int take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
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
	if (program->out.fd >= 0)
		program->out.source =
			g_unix_fd_add(program->out.fd, G_IO_IN | G_IO_HUP, on_out, program);
	if (program->err.fd >= 0)
		program->err.source =
			g_unix_fd_add(program->err.fd, G_IO_IN | G_IO_HUP, on_err, program);
}

static void add_program(SfExecs *execs, pid_t pid, const SfExecRequest *request, Pipes *pipes,
			SfExecStarted started, gpointer user_data)
{
	Program *program = g_new0(Program, 1);

	program->execs = execs;
	program->pid = pid;
	program->started = started;
	program->user_data = user_data;
	program->name = g_strdup(request->argv[0]);
	program->failed = take(&pipes->failed[0]);
	program->in = take(&pipes->in[1]);
	program->out.fd = take(&pipes->out[0]);
	program->err.fd = take(&pipes->err[0]);
	program->input = request->input ? g_bytes_ref(request->input) : NULL;
	program->out.data = g_byte_array_new();
	program->err.data = g_byte_array_new();
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

static pid_t start(SfExecs *execs, const SfExecRequest *request, Pipes *pipes, GError **error)
{
	SfExecChild child = {.argv = request->argv, .envp = request->envp};
	pid_t pid;

	if (!make_room(execs, error) || !open_pipes(pipes, request, error))
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
	Pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	g_autoptr(GError) error = NULL;
	pid_t pid = start(execs, request, &pipes, &error);
	Program *stale =
		pid > 0 ? g_hash_table_lookup(execs->programs, GINT_TO_POINTER(pid)) : NULL;

	/* The kernel has given the number of one that is gone to another. */
	if (stale)
		program_free(stale);
	if (pid > 0)
		add_program(execs, pid, request, &pipes, started, user_data);
	pipes_clear(&pipes);
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
