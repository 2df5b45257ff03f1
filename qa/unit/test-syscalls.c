/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/freezer/syscalls: what the filter lets through and what it does not, tried in children that
 * have put it on. FIFREEZE only without a file: it freezes nothing, filter or not.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/freezer/syscalls.h"

#define NOT_CONFINED 255
#define NO_FILE (-1)

/* In a child: errno of what it does, or 0. */
typedef int (*Try)(void);

static _Noreturn void run_child(bool may_freeze, Try attempt)
{
	struct rlimit none = {0, 0};
	struct itimerval soon = {.it_value = {.tv_usec = 10000}};

	setrlimit(RLIMIT_CORE, &none);
	setitimer(ITIMER_REAL, &soon, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sf_syscalls_confine(may_freeze) < 0)
		_exit(NOT_CONFINED);
	_exit(attempt());
}

static void on_alarm(int number)
{
}

/* Returns: waitpid's status */
static int try(bool may_freeze, Try attempt)
{
	int status;
	pid_t pid;

	signal(SIGALRM, on_alarm);
	pid = fork();
	if (pid == 0)
		run_child(may_freeze, attempt);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	return status;
}

static int result_of(bool may_freeze, Try attempt)
{
	int status = try(may_freeze, attempt);

	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), !=, NOT_CONFINED);
	return WEXITSTATUS(status);
}

static int error_of(long result)
{
	return result < 0 ? errno : 0;
}

/* clang-format off */
static int try_open(void) { return error_of(open("/", O_RDONLY | O_CLOEXEC)); }
static int try_openat2(void) { return error_of(syscall(437, NO_FILE, NULL, NULL, 0)); }
static int try_socket(void) { return error_of(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }
static int try_exec(void) { return error_of(execl("/bin/true", "true", NULL)); }
static int try_fork(void) { return error_of(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
static int try_clone3(void) { return error_of(syscall(435, NULL, 0)); }
static int try_kill(void) { return error_of(kill(getppid(), 0)); }
static int try_terminal(void) { struct winsize size; return error_of(ioctl(NO_FILE, TIOCGWINSZ, &size)); }
static int try_dumpable(void) { return error_of(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }
static int try_keepcaps(void) { return error_of(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0)); }
static int try_freeze(void) { return error_of(ioctl(NO_FILE, FIFREEZE, 0)); }
static int try_thaw(void) { return error_of(ioctl(NO_FILE, FITHAW, 0)); }
static int try_syncfs(void) { return error_of(syncfs(NO_FILE)); }
static int try_write(void) { return error_of(write(NO_FILE, "", 1)); }
static int try_send(void) { struct msghdr none = {0}; return error_of(sendmsg(NO_FILE, &none, 0)); }
/* clang-format on */

static int try_mapping(int protection)
{
	return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? errno
		       : 0;
}

static int try_memory(void)
{
	return try_mapping(PROT_READ | PROT_WRITE);
}

static int try_code(void)
{
	return try_mapping(PROT_READ | PROT_EXEC);
}

static void *end_at_once(void *user_data)
{
	return user_data;
}

static int try_thread(void)
{
	pthread_t thread;
	int result = pthread_create(&thread, NULL, end_at_once, NULL);

	return result != 0 ? result : pthread_join(thread, NULL);
}

static int try_waiting(void)
{
	struct timespec moment = {.tv_nsec = 1000}, now;
	struct pollfd none = {.fd = NO_FILE};

	/* The alarm's handler returns into it. */
	if (poll(&none, 1, 10000) >= 0 || errno != EINTR)
		return ETIME;
	if (nanosleep(&moment, NULL) < 0)
		return errno;
	return error_of(syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now));
}

static int try_abort(void)
{
	abort();
}

static void test_what_it_does_not_call_fails(void)
{
	static const Try tries[] = {try_open, try_openat2,  try_socket,   try_exec, try_fork,
				    try_kill, try_terminal, try_keepcaps, try_code};

	for (size_t i = 0; i < G_N_ELEMENTS(tries); i++) {
		g_test_message("try %zu", i);
		g_assert_cmpint(result_of(true, tries[i]), ==, EPERM);
	}
}

static void test_what_it_calls_is_admitted(void)
{
	static const Try done[] = {try_dumpable, try_memory, try_thread, try_waiting};
	static const Try without_a_file[] = {try_syncfs, try_write, try_send, try_freeze, try_thaw};

	for (size_t i = 0; i < G_N_ELEMENTS(done); i++) {
		g_test_message("try %zu", i);
		g_assert_cmpint(result_of(true, done[i]), ==, 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(without_a_file); i++) {
		g_test_message("try %zu without a file", i);
		g_assert_cmpint(result_of(true, without_a_file[i]), ==, EBADF);
	}
}

static void test_a_rehearsal_can_neither_freeze_nor_thaw(void)
{
	g_assert_cmpint(result_of(false, try_freeze), ==, EPERM);
	g_assert_cmpint(result_of(false, try_thaw), ==, EPERM);
	g_assert_cmpint(result_of(false, try_syncfs), ==, EBADF);
}

/* libc then starts a thread by a call whose flags the filter sees. */
static void test_clone3_is_as_if_there_were_none(void)
{
	g_assert_cmpint(result_of(true, try_clone3), ==, ENOSYS);
}

static void test_an_abort_still_ends_it(void)
{
	g_assert_true(WIFSIGNALED(try(true, try_abort)));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/syscalls/what-it-does-not-call-fails", test_what_it_does_not_call_fails);
	g_test_add_func("/syscalls/what-it-calls-is-admitted", test_what_it_calls_is_admitted);
	g_test_add_func("/syscalls/a-rehearsal-can-neither-freeze-nor-thaw",
			test_a_rehearsal_can_neither_freeze_nor_thaw);
	g_test_add_func("/syscalls/clone3-is-as-if-there-were-none",
			test_clone3_is_as_if_there_were_none);
	g_test_add_func("/syscalls/an-abort-still-ends-it", test_an_abort_still_ends_it);
	return g_test_run();
}
