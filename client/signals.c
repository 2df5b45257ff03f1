/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The signals that ask the program to end, read from a signalfd: no handler runs, and none of them
 * can cut a thaw short. freeze calls it. */
#include "config.h"

#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/signals.h"

void sf_signals_init(SfSignals *signals)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd >= 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
}

bool sf_signals_wait(SfSignals *signals, int other_fd, int64_t timeout_ms)
{
	struct signalfd_siginfo info;
	struct pollfd fds[] = {
		{.fd = signals->fd, .events = POLLIN},
		{.fd = other_fd, .events = POLLIN},
	};

	if (poll(fds, G_N_ELEMENTS(fds), (int)CLAMP(timeout_ms, -1, G_MAXINT)) <= 0)
		return false;
	return fds[0].revents && read(signals->fd, &info, sizeof(info)) == sizeof(info);
}
