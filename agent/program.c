/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns running one of the system's programs and waiting for it. Called by children of the agent. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/program.h"
#include "protocol/error.h"

const char *sf_program_find(const char *const *paths)
{
	for (; *paths; paths++)
		if (access(*paths, X_OK) == 0)
			return *paths;
	return NULL;
}

/* @in: -1: it has nothing to read */
static int spawn(const char *const *argv, int in, pid_t *out_pid)
{
	static const char *const environment[] = {SF_CHILD_PATH, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	int reason;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	if (in >= 0)
		posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	else
		posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	reason = posix_spawn(out_pid, argv[0], &files, &attributes, (char *const *)argv,
			     (char *const *)environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return reason;
}

/* As much as a pipe holds: nobody has to read while it is written. */
static int make_input(const char *input)
{
	int fds[2];

	if (!input || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	(void)!write(fds[1], input, strlen(input));
	close(fds[1]);
	fcntl(fds[0], F_SETFL, 0);
	return fds[0];
}

static bool start(const char *const *argv, const char *input, pid_t *out_pid, GError **error)
{
	int in = make_input(input);
	int reason;

	if (input && in < 0)
		return sf_throw_errno(error, "make a pipe");
	sf_child_reset_oom_score();
	reason = spawn(argv, in, out_pid);
	if (in >= 0)
		close(in);
	errno = reason;
	return reason == 0 || sf_throw_errno(error, "start '%s'", argv[0]);
}

bool sf_program_run(const char *const *argv, const char *input, GError **error)
{
	pid_t pid;
	int status;

	if (!start(argv, input, &pid, error))
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return sf_throw_errno(error, "wait for '%s'", argv[0]);
	if (WIFSIGNALED(status))
		return sf_throw(error, "'%s' was ended by signal %d", argv[0], WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return sf_throw(error, "'%s' ended with status %d", argv[0], WEXITSTATUS(status));
	return true;
}
