/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a hook's process from fork to exec: nothing of the agent's goes with it, neither
 * descriptors, signals, limits and the rank with the OOM killer, nor the terminal. Only
 * async-signal-safe calls: the fork may have caught another thread holding a lock. Called by
 * hook-spawn.
 */
#include "config.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/hook-child.h"

/* select(2) knows no higher ones; programs that want more raise it themselves. */
#define SOFT_FD_LIMIT 1024

/* Until the parent has noted us in the record we must not run: nobody would tell us to thaw. */
static void wait_for_go(const SfHookChild *child)
{
	char byte;
	ssize_t n;

	close(child->go_end);
	do
		n = read(child->go, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(126);
}

static void reset_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > SOFT_FD_LIMIT) {
		limit.rlim_cur = SOFT_FD_LIMIT;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void run(const void *user_data)
{
	const SfHookChild *child = user_data;

	/* Before the wait: the parent then knows that our pid is that of a group. */
	setsid();
	wait_for_go(child);
	sf_child_place_fds(child->in, child->out, child->out, child->failed);
	sf_child_reset_oom_score();
	reset_limits();
	umask(022);
	if (chdir("/") < 0)
		sf_child_give_up(SF_CHILD_FD_FAILED);
	sf_child_reset_signals();
	execve(child->argv[0], child->argv, child->envp);
	sf_child_give_up(SF_CHILD_FD_FAILED);
}

pid_t sf_hook_child_fork(const SfHookChild *child)
{
	return sf_child_fork(run, child);
}
