/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/*
 * The steps from fork to exec that a hook and a host's program share: nothing of the agent's goes
 * with them. All but the fork are async-signal-safe: it may have caught another thread that holds a
 * lock.
 */

/* The environment of what we run has this and not the agent's own. */
#define SF_CHILD_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Where sf_child_place_fds() leaves the end of the pipe that tells the parent of a failure. */
#define SF_CHILD_FD_FAILED 3

/* Returns: the end of a pipe, which is the caller's now and -1 where it was. */
int sf_child_take_fd(int *fd);

/* Forks with all signals blocked, so that no handler of the agent's runs in the child, which calls
 * @run. Returns: the child's pid, or -1 with errno */
pid_t sf_child_fork(void (*run)(const void *), const void *user_data);

/* Writes errno to @fd and exits. */
_Noreturn void sf_child_give_up(int fd);

/* Makes @in, @out and @err the standard ones and @failed SF_CHILD_FD_FAILED, which closes on exec.
 * Every other fd is closed, those too that came from whoever started the agent. */
void sf_child_place_fds(int in, int out, int err, int failed);
/* The agent is not to be killed for want of memory; what it runs is no better than others. */
void sf_child_reset_oom_score(void);
/* Default actions, none blocked. */
void sf_child_reset_signals(void);
