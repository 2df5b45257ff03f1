/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/process: what is gone, and what only cannot be looked at. */
#include "config.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process.h"

/* Until it is killed, or this process has ended. */
static pid_t start_sleeper(void)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	g_assert_cmpint(child, >, 0);
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
}

static void test_a_thread_has_a_state_until_it_is_gone(void)
{
	pid_t child = start_sleeper();
	siginfo_t info;

	g_assert_nonnull(strchr("RS", sf_process_thread_state(child, child)));
	g_assert_cmpint(sf_process_thread_state(child, getpid()), ==, 0);
	kill(child, SIGKILL);
	g_assert_no_errno(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	g_assert_cmpint(sf_process_thread_state(child, child), ==, 'Z');
	end(child);
	g_assert_cmpint(sf_process_thread_state(child, child), ==, 0);
}

/* Taken for gone, a freezer's thread within FIFREEZE would be thawed before its freeze, which then
 * would last for ever. */
static void test_without_descriptors_nobody_is_gone(void)
{
	pid_t child = start_sleeper();
	struct rlimit before, none;

	g_assert_no_errno(getrlimit(RLIMIT_NOFILE, &before));
	none = before;
	none.rlim_cur = 0;
	g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &none));
	char state = sf_process_thread_state(child, child);
	g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &before));
	g_assert_cmpint(state, ==, SF_PROCESS_STATE_UNKNOWN);
	end(child);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/process/a-thread-has-a-state-until-it-is-gone",
			test_a_thread_has_a_state_until_it_is_gone);
	g_test_add_func("/process/without-descriptors-nobody-is-gone",
			test_without_descriptors_nobody_is_gone);
	return g_test_run();
}
