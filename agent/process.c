/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pidfds, /proc/PID/stat and short-lived children; holds no state. Called by freezer link, rescue
 * and recovery. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process.h"
#include "agent/sysfs.h"

int sf_process_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool sf_process_kill(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0;
}

/* The fields after the command's name, which may itself hold spaces and brackets: the last ')' ends
 * it. */
static char *read_stat_fields(const char *path)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	const char *end = strrchr(text, ')');
	return end && end[1] == ' ' ? g_strdup(end + 2) : NULL;
}

uint64_t sf_process_start_time(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *fields = read_stat_fields(path);

	if (!fields)
		return 0;
	/* What is left begins with field 3. */
	g_auto(GStrv) parts = g_strsplit(fields, " ", 22);
	return g_strv_length(parts) > 19 ? g_ascii_strtoull(parts[19], NULL, 10) : 0;
}

/* A thread that cannot be looked at is not gone: who takes it for that may thaw under it. Read by
 * hand, for the errno of a read: GLib has no error for ESRCH. */
char sf_process_thread_state(pid_t pid, pid_t tid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/stat", (int)pid, (int)tid);
	char text[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	bool is_gone = length < 0 && (errno == ENOENT || errno == ESRCH);

	if (fd >= 0)
		close(fd);
	if (is_gone)
		return 0;
	const char *end = strrchr(text, ')');
	return end && end[1] == ' ' && end[2] ? end[2] : SF_PROCESS_STATE_UNKNOWN;
}

static bool is_called(const char *proc, const char *name, const char *comm)
{
	g_autofree char *folder = g_build_filename(proc, name, NULL);
	g_autofree char *own = sf_sysfs_read(folder, "comm");

	if (g_strcmp0(own, comm) != 0)
		return false;
	g_autofree char *status = sf_sysfs_read(folder, "status");
	return !status || !strstr(status, "\nState:\tZ");
}

GArray *sf_process_find(const char *proc, const char *comm)
{
	g_autoptr(GPtrArray) names = sf_sysfs_list(proc);
	GArray *found = g_array_new(FALSE, FALSE, sizeof(pid_t));

	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		pid_t pid = (pid_t)g_ascii_strtoull(name, NULL, 10);

		if (pid > 0 && is_called(proc, name, comm))
			g_array_append_val(found, pid);
	}
	return found;
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void close_all_but(int *keep, unsigned int count)
{
	unsigned int from = 3;

	for (unsigned int i = 0; i < count; i++) {
		if (keep[i] < (int)from)
			continue;
		if ((unsigned int)keep[i] > from)
			syscall(SYS_close_range, from, keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0u, 0);
}

pid_t sf_process_run_child(const int *keep, unsigned int keep_count, int (*work)(void *),
			   void *user_data)
{
	g_autofree int *sorted = g_new(int, keep_count + 1);
	pid_t pid;

	if (keep_count > 0)
		memcpy(sorted, keep, sizeof(int) * keep_count);
	qsort(sorted, keep_count, sizeof(int), compare_fds);
	pid = fork();
	if (pid != 0)
		return pid;
	close_all_but(sorted, keep_count);
	/* It works for nobody else, and its own files are not worth a hang at exit. */
	signal(SIGTERM, SIG_DFL);
	_exit(work(user_data));
}

static gboolean on_ended(gint pidfd, GIOCondition condition, gpointer user_data)
{
	waitpid(GPOINTER_TO_INT(user_data), NULL, WNOHANG);
	close(pidfd);
	return G_SOURCE_REMOVE;
}

static void ignore_exit(GPid child, gint status, gpointer user_data)
{
}

void sf_process_reap(pid_t child)
{
	int pidfd = sf_process_open(child);

	if (pidfd >= 0)
		g_unix_fd_add(pidfd, G_IO_IN, on_ended, GINT_TO_POINTER(child));
	else
		g_child_watch_add(child, ignore_exit, NULL);
}
