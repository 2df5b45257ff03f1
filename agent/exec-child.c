/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a host's program from fork to exec: nothing of the agent's goes with it, neither
 * descriptors nor signals nor the rank with the OOM killer. Only what may be called in a child of a
 * process that may have threads. Called by execs.
 */
#include "config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/exec-child.h"

static void become(const void *user_data)
{
	const SfExecChild *child = user_data;

	setsid();
	sf_child_place_fds(child->in, child->out, child->err, child->failed);
	sf_child_reset_oom_score();
	umask(022);
	if (chdir("/") < 0)
		sf_child_give_up(SF_CHILD_FD_FAILED);
	sf_child_reset_signals();
	execvpe(child->argv[0], (char *const *)child->argv, (char *const *)child->envp);
	sf_child_give_up(SF_CHILD_FD_FAILED);
}

pid_t sf_exec_child_fork(const SfExecChild *child)
{
	return sf_child_fork(become, child);
}
