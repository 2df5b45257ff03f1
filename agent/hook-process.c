/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns one process of a hook: its pipes, its deadline and its end. Invariant: while it runs a
 * deadline runs too, so it ends or is given up; and its group is killed only while its leader is
 * not reaped, so that no other process can have its number. Called by hooks.
 */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/hook-process.h"
#include "agent/hook-spawn.h"
#include "agent/process.h"
#include "protocol/error.h"

#define KEPT_OUTPUT 1000
#define READ_AT_ONCE 4096
#define MAX_READS_AT_END 64
/* SIGKILL takes effect at once but in the kernel, where a dead disk may hold the process. */
#define KILL_LIMIT_MS 2000

static const char quiet_word[] = "frozen";

struct SfHookProcess {
	SfHookLaunch launch;
	SfHookState state;
	pid_t pid;
	bool is_child; /* else an earlier agent's */
	int pidfd, in, out, failed;
	guint exit_source, output_source, deadline_source;
	GString *output;
	char line[sizeof(quiet_word)]; /* that is being read, as far as it matters */
	guint line_length;
	bool said_frozen, is_late, is_killed, is_released, cannot_die;
	int exec_errno;
	siginfo_t end;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool sf_hook_process_is_session(const SfHookProcess *process)
{
	return !strcmp(process->launch.word, "session");
}

static void take_line_byte(SfHookProcess *process, char byte)
{
	if (byte == '\n') {
		process->said_frozen |= process->line_length == strlen(quiet_word) &&
					!memcmp(process->line, quiet_word, process->line_length);
		process->line_length = 0;
	} else if (process->line_length < sizeof(process->line)) {
		process->line[process->line_length++] = byte;
	}
}

/* Returns: as read(2). */
static ssize_t read_output(SfHookProcess *process)
{
	char buffer[READ_AT_ONCE];
	ssize_t n = read(process->out, buffer, sizeof(buffer));
	gsize room = KEPT_OUTPUT - process->output->len;

	if (n <= 0)
		return n;
	g_string_append_len(process->output, buffer, (gssize)MIN((gsize)n, room));
	for (ssize_t i = 0; i < n; i++)
		take_line_byte(process, buffer[i]);
	return n;
}

/* One that is not reaped yet the main loop reaps whenever it ends. */
static void leave_to_the_loop(SfHookProcess *process)
{
	if (process->exit_source && process->is_child)
		sf_process_reap(process->pid);
	g_clear_handle_id(&process->exit_source, g_source_remove);
}

static void change(SfHookProcess *process, SfHookState state)
{
	process->state = state;
	g_clear_handle_id(&process->deadline_source, g_source_remove);
	if (state == SF_HOOK_ENDED) {
		leave_to_the_loop(process);
		if (process->launch.note)
			process->launch.note->pid = 0;
	}
	process->launch.changed(process, process->launch.user_data);
}

static gboolean on_output(gint fd, GIOCondition condition, gpointer user_data)
{
	SfHookProcess *process = user_data;

	ssize_t n = read_output(process);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		process->output_source = 0;
		return G_SOURCE_REMOVE;
	}
	if (process->state == SF_HOOK_RUNNING && process->said_frozen &&
	    sf_hook_process_is_session(process) && !process->is_released && !process->is_killed)
		change(process, SF_HOOK_QUIET);
	return G_SOURCE_CONTINUE;
}

static gboolean on_end(gint fd, GIOCondition condition, gpointer user_data)
{
	SfHookProcess *process = user_data;

	process->exit_source = 0;
	/* Of an earlier agent's process nobody tells us how it ended. */
	if (process->is_child)
		waitid(P_PID, (id_t)process->pid, &process->end, WEXITED | WNOHANG);
	/* What it has started may live on and print; that is not waited for. */
	for (int i = 0; process->out >= 0 && i < MAX_READS_AT_END && read_output(process) > 0; i++)
		;
	if (process->failed >= 0)
		(void)!read(process->failed, &process->exec_errno, sizeof(process->exec_errno));
	change(process, SF_HOOK_ENDED);
	return G_SOURCE_REMOVE;
}

static gboolean on_kill_late(gpointer user_data)
{
	SfHookProcess *process = user_data;

	process->deadline_source = 0;
	process->cannot_die = true;
	change(process, SF_HOOK_ENDED);
	return G_SOURCE_REMOVE;
}

void sf_hook_process_kill(SfHookProcess *process)
{
	if (process->state == SF_HOOK_ENDED || process->is_killed)
		return;
	process->is_killed = true;
	/* The group, or it alone where it has not made one yet. */
	if (kill(-process->pid, SIGKILL) < 0)
		kill(process->pid, SIGKILL);
	g_clear_handle_id(&process->deadline_source, g_source_remove);
	process->deadline_source = g_timeout_add(KILL_LIMIT_MS, on_kill_late, process);
}

static gboolean on_deadline(gpointer user_data)
{
	SfHookProcess *process = user_data;

	process->deadline_source = 0;
	process->is_late = true;
	sf_hook_process_kill(process);
	return G_SOURCE_REMOVE;
}

static void arm(SfHookProcess *process)
{
	g_clear_handle_id(&process->deadline_source, g_source_remove);
	process->deadline_source =
		g_timeout_add(process->launch.timeout_s * 1000, on_deadline, process);
}

void sf_hook_process_release(SfHookProcess *process)
{
	if (process->state == SF_HOOK_ENDED || process->is_released)
		return;
	process->is_released = true;
	process->state = SF_HOOK_RUNNING;
	if (process->in >= 0)
		(void)!write(process->in, "thaw\n", 5);
	close_fd(&process->in);
	if (!process->is_killed)
		arm(process);
}

static char **make_environment(const SfHookLaunch *launch)
{
	GPtrArray *all = g_ptr_array_new();

	g_ptr_array_add(all, g_strdup(SF_CHILD_PATH));
	g_ptr_array_add(all, g_strdup("HOME=/root"));
	g_ptr_array_add(all, g_strdup("LANG=C.UTF-8"));
	g_ptr_array_add(all, g_strdup_printf("SNAPFREEZE_HOOK_TIMEOUT=%u", launch->timeout_s));
	if (launch->rehearse)
		g_ptr_array_add(all, g_strdup("SNAPFREEZE_REHEARSAL=1"));
	g_ptr_array_add(all, NULL);
	return (char **)g_ptr_array_free(all, FALSE);
}

static bool spawn(SfHookProcess *process, GError **error)
{
	g_auto(GStrv) environment = make_environment(&process->launch);
	char *argv[] = {(char *)process->launch.path, (char *)process->launch.word, NULL};
	struct sf_record_hook *note = process->launch.note;
	SfHookSpawned spawned;

	if (!sf_hook_spawn(argv, environment, sf_hook_process_is_session(process), &spawned, error))
		return false;
	process->is_child = true;
	process->pid = spawned.pid;
	process->pidfd = spawned.pidfd;
	process->in = spawned.in;
	process->out = spawned.out;
	process->failed = spawned.failed;
	if (note) {
		note->start = sf_process_start_time(process->pid);
		note->pid = (uint32_t)process->pid;
	}
	(void)!write(spawned.go, "g", 1);
	close(spawned.go);
	return true;
}

static void watch(SfHookProcess *process)
{
	process->exit_source = g_unix_fd_add(process->pidfd, G_IO_IN, on_end, process);
	if (process->out >= 0)
		process->output_source =
			g_unix_fd_add(process->out, G_IO_IN | G_IO_HUP, on_output, process);
	arm(process);
}

static SfHookProcess *process_new(const SfHookLaunch *launch)
{
	SfHookProcess *process = g_new0(SfHookProcess, 1);

	process->launch = *launch;
	process->launch.path = g_strdup(launch->path);
	process->launch.word = g_strdup(launch->word);
	process->output = g_string_new(NULL);
	process->pidfd = process->in = process->out = process->failed = -1;
	return process;
}

SfHookProcess *sf_hook_process_start(const SfHookLaunch *launch, GError **error)
{
	SfHookProcess *process = process_new(launch);

	if (!spawn(process, error)) {
		process->state = SF_HOOK_ENDED;
		sf_hook_process_free(process);
		return NULL;
	}
	watch(process);
	return process;
}

SfHookProcess *sf_hook_process_adopt(const SfHookLaunch *launch)
{
	SfHookProcess *process = process_new(launch);

	process->pid = (pid_t)launch->note->pid;
	if (process->pid > 0)
		process->pidfd = sf_process_open(process->pid);
	/* Only with its start time is it the one that the record means. */
	if (process->pidfd < 0 || sf_process_start_time(process->pid) != launch->note->start) {
		process->state = SF_HOOK_ENDED;
		sf_hook_process_free(process);
		return NULL;
	}
	watch(process);
	return process;
}

void sf_hook_process_free(SfHookProcess *process)
{
	if (!process)
		return;
	if (process->state == SF_HOOK_RUNNING && !sf_hook_process_is_session(process))
		sf_hook_process_kill(process);
	leave_to_the_loop(process);
	g_clear_handle_id(&process->output_source, g_source_remove);
	g_clear_handle_id(&process->deadline_source, g_source_remove);
	close_fd(&process->pidfd);
	close_fd(&process->in);
	close_fd(&process->out);
	close_fd(&process->failed);
	g_string_free(process->output, TRUE);
	g_free((char *)process->launch.path);
	g_free((char *)process->launch.word);
	g_free(process);
}

SfHookState sf_hook_process_state(const SfHookProcess *process)
{
	return process->state;
}

bool sf_hook_process_is_gone(const SfHookProcess *process)
{
	struct pollfd polled = {.fd = process->pidfd, .events = POLLIN};

	return process->state == SF_HOOK_ENDED || poll(&polled, 1, 0) == 1;
}

int sf_hook_process_status(const SfHookProcess *process)
{
	bool has_status = process->state == SF_HOOK_ENDED && process->end.si_code == CLD_EXITED &&
			  !process->exec_errno;

	return has_status ? process->end.si_status : -1;
}

/* (nullable): without its output. */
static char *explain_end(const SfHookProcess *process)
{
	int status = sf_hook_process_status(process);

	if (process->cannot_die)
		return g_strdup("was killed, and hangs in the kernel");
	if (process->is_late)
		return g_strdup_printf("did not finish within %u s", process->launch.timeout_s);
	if (process->exec_errno)
		return g_strdup_printf("cannot be run: %s", g_strerror(process->exec_errno));
	if (process->state != SF_HOOK_ENDED || !process->is_child)
		return NULL;
	if (status < 0)
		return g_strdup_printf("was ended by signal %d", process->end.si_status);
	if (status > 0)
		return g_strdup_printf("exit status %d", status);
	if (sf_hook_process_is_session(process) && !process->is_released)
		return g_strdup(process->said_frozen ? "ended before it was told to thaw"
						     : "ended without saying \"frozen\"");
	return NULL;
}

char *sf_hook_process_explain(const SfHookProcess *process)
{
	g_autofree char *end = explain_end(process);
	g_autofree char *output =
		g_utf8_make_valid(process->output->str, (gssize)process->output->len);

	g_strstrip(output);
	if (!end || !*output)
		return g_steal_pointer(&end);
	return g_strdup_printf("%s: %s", end, output);
}
