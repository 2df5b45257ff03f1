/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a host's program from fork to exec: nothing of the agent's goes with it, neither
 * descriptors nor signals nor the rank with the OOM killer. Only what may be called in a child of a
 * process that may have threads. Called by execs.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/exec-child.h"

enum { FD_FAILED = 3, FD_HIGH = 10 };

static _Noreturn void give_up(int fd)
{
	int reason = errno;

	(void)!write(fd, &reason, sizeof(reason));
	_exit(127);
}

/* By way of higher numbers, since any of them may be another's place now. */
static void place_fds(const SfExecChild *child)
{
	int in = fcntl(child->in, F_DUPFD, FD_HIGH);
	int out = fcntl(child->out, F_DUPFD, FD_HIGH);
	int err = fcntl(child->err, F_DUPFD, FD_HIGH);
	int failed = fcntl(child->failed, F_DUPFD, FD_HIGH);

	if (in < 0 || out < 0 || err < 0 || failed < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0 ||
	    dup2(failed, FD_FAILED) < 0)
		give_up(child->failed);
	fcntl(FD_FAILED, F_SETFD, FD_CLOEXEC);
	/* With the higher ones, and what came from whoever started us. */
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

static void reset_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "0", 1);
	close(fd);
}

static _Noreturn void become(const SfExecChild *child)
{
	setsid();
	place_fds(child);
	reset_oom_score();
	umask(022);
	if (chdir("/") < 0)
		give_up(FD_FAILED);
	reset_signals();
	execvpe(child->argv[0], (char *const *)child->argv, (char *const *)child->envp);
	give_up(FD_FAILED);
}

pid_t sf_exec_child_fork(const SfExecChild *child)
{
	sigset_t all, before;
	pid_t pid;

	/* A handler of the agent's must not run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(child);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}
