/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes the freezer's process and the socket to it; holds no state. Invariant: it gets the socket
 * and the record, and nothing else of the agent's. Called by freezer-link.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/freezer-spawn.h"
#include "agent/freezer/messages.h"
#include "agent/process.h"
#include "protocol/error.h"

#define READY_TIMEOUT_MS 10000

typedef struct {
	const char *program, *parent;
	bool rehearse;
	int socket, record;
} Start;

/* In the child, between fork and exec: only async-signal-safe calls. */
static void exec_freezer(const void *user_data)
{
	const Start *start = user_data;
	/* 3 and 4 are where the freezer looks; a detour, since either may be the other's number
	 * now. */
	int high_socket = fcntl(start->socket, F_DUPFD, 10);
	int high_record = fcntl(start->record, F_DUPFD, 10);
	sigset_t none;

	if (high_socket < 0 || high_record < 0 || dup2(high_socket, 3) < 0 ||
	    dup2(high_record, 4) < 0)
		_exit(126);
	for (int fd = 5; fd <= MAX(high_socket, high_record); fd++)
		close(fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* argv[0] stays the program's name, so that ps shows it. */
	execl(start->program, start->program, start->parent, start->rehearse ? "--rehearse" : NULL,
	      NULL);
	_exit(127);
}

static bool fork_freezer(const Start *start, SfFreezerProcess *process, GError **error)
{
	process->pid = sf_child_fork(exec_freezer, start);
	if (process->pid < 0)
		return sf_throw_errno(error, "fork");
	process->pidfd = sf_process_open(process->pid);
	return process->pidfd >= 0 || sf_throw_errno(error, "pidfd_open (it needs Linux 5.3)");
}

static bool start(const char *program, bool rehearse, const SfRecord *record,
		  SfFreezerProcess *process, GError **error)
{
	g_autofree char *parent = g_strdup_printf("%d", (int)getpid());
	int pair[2];

	if (access(program, X_OK) < 0)
		return sf_throw_errno(error, "start '%s'", program);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return sf_throw_errno(error, "make the freezer's socket");
	process->socket = pair[0];
	Start how = {program, parent, rehearse, pair[1], record->fd};
	bool is_started = fork_freezer(&how, process, error);
	close(pair[1]);
	return is_started;
}

static bool wait_until_ready(const SfFreezerProcess *process, const char *program, GError **error)
{
	struct pollfd polled = {.fd = process->socket, .events = POLLIN};
	struct sf_message message;
	int fds[SF_MESSAGE_MAX_FDS];
	unsigned int count;

	if (poll(&polled, 1, READY_TIMEOUT_MS) != 1 ||
	    sf_message_receive(process->socket, &message, fds, &count) != 1 || count != 0 ||
	    message.kind != SF_MESSAGE_READY)
		return sf_throw(error, "'%s' does not start", program);
	/* Freezing is as right without. */
	if (message.error != 0)
		g_message("the freezer runs without a filter of its system calls: %s",
			  g_strerror(message.error));
	return true;
}

bool sf_freezer_spawn(const char *program, bool rehearse, const SfRecord *record,
		      SfFreezerProcess *out_process, GError **error)
{
	SfFreezerProcess process = {-1, -1, -1};

	if (!start(program, rehearse, record, &process, error) ||
	    !wait_until_ready(&process, program, error)) {
		sf_freezer_process_clear(&process);
		return false;
	}
	*out_process = process;
	return true;
}

void sf_freezer_process_clear(SfFreezerProcess *process)
{
	/* EOF is the freezer's word to thaw and to end. */
	if (process->socket >= 0)
		close(process->socket);
	/* A zombie that nobody waits for is reaped by whoever reaps the agent. */
	if (process->pid > 0)
		waitpid(process->pid, NULL, WNOHANG);
	if (process->pidfd >= 0)
		close(process->pidfd);
	*process = (SfFreezerProcess){-1, -1, -1};
}
