/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes the process of a hook and the pipes to it; holds no state. The process waits until its
 * parent has noted it: one that nobody knows of must not run. Called by hook-process.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/hook-child.h"
#include "agent/hook-spawn.h"
#include "agent/process.h"
#include "protocol/error.h"

typedef struct {
	int in[2], out[2], failed[2], go[2];
} Pipes;

static void pipes_clear(Pipes *pipes)
{
	int *fds = pipes->in;

	for (size_t i = 0; i < sizeof(*pipes) / sizeof(int); i++)
		if (fds[i] >= 0)
			close(sf_child_take_fd(&fds[i]));
}

static bool open_input(Pipes *pipes, bool has_input, GError **error)
{
	if (has_input ? pipe2(pipes->in, O_CLOEXEC) == 0
		      : (pipes->in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		return true;
	return sf_throw_errno(error, "make its standard input");
}

static bool open_pipes(Pipes *pipes, bool has_input, GError **error)
{
	memset(pipes, -1, sizeof(*pipes));
	if (!open_input(pipes, has_input, error))
		return false;
	if (pipe2(pipes->out, O_CLOEXEC) < 0 || pipe2(pipes->failed, O_CLOEXEC) < 0 ||
	    pipe2(pipes->go, O_CLOEXEC) < 0)
		return sf_throw_errno(error, "make its pipes");
	/* Only our ends: the hook's are as it expects them. */
	return (!has_input || g_unix_set_fd_nonblocking(pipes->in[1], TRUE, error)) &&
	       g_unix_set_fd_nonblocking(pipes->out[0], TRUE, error) &&
	       g_unix_set_fd_nonblocking(pipes->failed[0], TRUE, error);
}

static bool fork_child(char *const *argv, char *const *envp, Pipes *pipes, SfHookSpawned *spawned,
		       GError **error)
{
	SfHookChild child = {.argv = argv,
			     .envp = envp,
			     .in = pipes->in[0],
			     .out = pipes->out[1],
			     .failed = pipes->failed[1],
			     .go = pipes->go[0],
			     .go_end = pipes->go[1]};

	spawned->pid = sf_hook_child_fork(&child);
	if (spawned->pid < 0)
		return sf_throw_errno(error, "fork");
	spawned->pidfd = sf_process_open(spawned->pid);
	if (spawned->pidfd >= 0)
		return true;
	sf_throw_errno(error, "pidfd_open (it needs Linux 5.3)");
	/* It ends by itself: its word to go will not come. */
	close(sf_child_take_fd(&pipes->go[1]));
	waitpid(spawned->pid, NULL, 0);
	return false;
}

bool sf_hook_spawn(char *const *argv, char *const *envp, bool has_input, SfHookSpawned *out_spawned,
		   GError **error)
{
	SfHookSpawned spawned;
	Pipes pipes;

	if (!open_pipes(&pipes, has_input, error) ||
	    !fork_child(argv, envp, &pipes, &spawned, error)) {
		pipes_clear(&pipes);
		return false;
	}
	spawned.in = sf_child_take_fd(&pipes.in[1]);
	spawned.out = sf_child_take_fd(&pipes.out[0]);
	spawned.failed = sf_child_take_fd(&pipes.failed[0]);
	spawned.go = sf_child_take_fd(&pipes.go[1]);
	pipes_clear(&pipes);
	*out_spawned = spawned;
	return true;
}
