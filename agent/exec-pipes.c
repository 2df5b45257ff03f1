/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the descriptors of a program that is about to start, until somebody takes them. Called by
 * execs.
 */
#include "config.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#include "agent/exec-pipes.h"
#include "protocol/error.h"

void sf_exec_pipes_init(SfExecPipes *pipes)
{
	*pipes = (SfExecPipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
}

void sf_exec_pipes_clear(SfExecPipes *pipes)
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

static bool open_err(SfExecPipes *pipes, SfCapture capture, GError **error)
{
	if (capture == SF_CAPTURE_STDERR || capture == SF_CAPTURE_SEPARATED)
		return open_pipe(pipes->err, 0, error);
	if (capture != SF_CAPTURE_MERGED)
		return open_null(&pipes->err[1], O_WRONLY, error);
	pipes->err[1] = fcntl(pipes->out[1], F_DUPFD_CLOEXEC, 3);
	return pipes->err[1] >= 0 || sf_throw_errno(error, "copy a descriptor");
}

bool sf_exec_pipes_open(SfExecPipes *pipes, bool has_input, SfCapture capture, GError **error)
{
	bool has_out = capture == SF_CAPTURE_STDOUT || capture == SF_CAPTURE_SEPARATED ||
		       capture == SF_CAPTURE_MERGED;

	if (!open_pipe(pipes->failed, 0, error))
		return false;
	if (!(has_input ? open_pipe(pipes->in, 1, error)
			: open_null(&pipes->in[0], O_RDONLY, error)))
		return false;
	if (!(has_out ? open_pipe(pipes->out, 0, error)
		      : open_null(&pipes->out[1], O_WRONLY, error)))
		return false;
	return open_err(pipes, capture, error);
}
