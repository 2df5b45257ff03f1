/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns nothing: the steps that child.h lists. Called by whoever starts a process, and in it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/child.h"

#define FD_HIGH 10

int sf_child_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

pid_t sf_child_fork(void (*run)(const void *), const void *user_data)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		run(user_data);
		_exit(127);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

void sf_child_give_up(int fd)
{
	int reason = errno;

	(void)!write(fd, &reason, sizeof(reason));
	_exit(127);
}

/* By way of higher numbers, since any of them may be another's place now. */
void sf_child_place_fds(int in, int out, int err, int failed)
{
	int high_in = fcntl(in, F_DUPFD, FD_HIGH);
	int high_out = fcntl(out, F_DUPFD, FD_HIGH);
	int high_err = fcntl(err, F_DUPFD, FD_HIGH);
	int high_failed = fcntl(failed, F_DUPFD, FD_HIGH);

	if (high_in < 0 || high_out < 0 || high_err < 0 || high_failed < 0 ||
	    dup2(high_in, STDIN_FILENO) < 0 || dup2(high_out, STDOUT_FILENO) < 0 ||
	    dup2(high_err, STDERR_FILENO) < 0 || dup2(high_failed, SF_CHILD_FD_FAILED) < 0)
		sf_child_give_up(failed);
	fcntl(SF_CHILD_FD_FAILED, F_SETFD, FD_CLOEXEC);
	syscall(SYS_close_range, SF_CHILD_FD_FAILED + 1, ~0u, 0);
}

void sf_child_reset_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "0", 1);
	close(fd);
}

void sf_child_reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
