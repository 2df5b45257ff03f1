/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a hook's process from fork to exec: nothing of the agent's goes with it, neither
 * descriptors, signals, limits and the rank with the OOM killer, nor the terminal. Only
 * async-signal-safe calls: the fork may have caught another thread holding a lock. Called by
 * hook-spawn.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/hook-child.h"

/* select(2) knows no higher ones; programs that want more raise it themselves. */
#define SOFT_FD_LIMIT 1024

enum { FD_FAILED = 3, FD_HIGH = 10 };

static void give_up(int fd)
{
	int reason = errno;

	(void)!write(fd, &reason, sizeof(reason));
	_exit(127);
}

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

/* By way of higher numbers, since any of them may be another's place now. */
static void place_fds(const SfHookChild *child)
{
	int in = fcntl(child->in, F_DUPFD, FD_HIGH);
	int out = fcntl(child->out, F_DUPFD, FD_HIGH);
	int failed = fcntl(child->failed, F_DUPFD, FD_HIGH);

	if (in < 0 || out < 0 || failed < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
	    dup2(failed, FD_FAILED) < 0)
		give_up(child->failed);
	fcntl(FD_FAILED, F_SETFD, FD_CLOEXEC);
	close(in);
	close(out);
	close(failed);
	/* Ours are close-on-exec; what came from whoever started us may not be. */
	syscall(SYS_close_range, FD_FAILED + 1, ~0u, 0);
}

static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The agent is not to be killed for want of memory; an application's script is no better than
 * others. */
static void reset_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "0", 1);
	close(fd);
}

static void reset_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > SOFT_FD_LIMIT) {
		limit.rlim_cur = SOFT_FD_LIMIT;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void run(const SfHookChild *child)
{
	/* Before the wait: the parent then knows that our pid is that of a group. */
	setsid();
	wait_for_go(child);
	place_fds(child);
	reset_oom_score();
	reset_limits();
	umask(022);
	if (chdir("/") < 0)
		give_up(FD_FAILED);
	reset_signals();
	execve(child->argv[0], child->argv, child->envp);
	give_up(FD_FAILED);
}

pid_t sf_hook_child_fork(const SfHookChild *child)
{
	sigset_t all, before;
	pid_t pid;

	/* A handler of the agent's must not run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		run(child);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}
