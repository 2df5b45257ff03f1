/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the look at all processes for the mount namespaces they live in. There may be ten thousand
 * of them: one readlink(2) each, and few more for each other namespace. Called by namespaces.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/process-scan.h"
#include "agent/sysfs.h"

/* To list the processes costs more than to ask for as many numbers. */
#define MAX_STEPS 10000

typedef struct {
	int proc_fd;
	GArray *seen;        /* of SfSeenNamespace */
	GArray *depths;      /* of size_t: how deep in a jail each one's process is */
	GHashTable *numbers; /* of inodes: the index in @seen, plus one */
} Scan;

bool sf_process_scan_inode(int folder, const char *path, uint64_t *out_inode)
{
	char text[64];
	ssize_t length = readlinkat(folder, path, text, sizeof(text) - 1);
	guint64 inode;

	if (length < 0)
		return false;
	text[length] = '\0';
	errno = EINVAL;
	if (sscanf(text, "mnt:[%" G_GUINT64_FORMAT "]", &inode) != 1)
		return false;
	*out_inode = inode;
	return true;
}

/* The length of the path to its root within its namespace: 1 where that is "/". */
static size_t measure_jail(int proc_fd, pid_t pid)
{
	g_autofree char *path = g_strdup_printf("%d/root", (int)pid);
	char text[PATH_MAX];
	ssize_t length = readlinkat(proc_fd, path, text, sizeof(text));

	return length < 0 ? SIZE_MAX : (size_t)length;
}

static void see_other(Scan *scan, uint64_t inode, pid_t pid)
{
	guint number = GPOINTER_TO_UINT(g_hash_table_lookup(scan->numbers, &inode));
	SfSeenNamespace seen = {.inode = inode, .pid = pid};
	size_t depth;

	if (number > 0) {
		size_t *known_depth = &g_array_index(scan->depths, size_t, number - 1);

		if (*known_depth == 1)
			return;
		depth = measure_jail(scan->proc_fd, pid);
		if (depth >= *known_depth)
			return;
		*known_depth = depth;
		g_array_index(scan->seen, SfSeenNamespace, number - 1).pid = pid;
		return;
	}
	depth = measure_jail(scan->proc_fd, pid);
	g_array_append_val(scan->seen, seen);
	g_array_append_val(scan->depths, depth);
	g_hash_table_insert(scan->numbers, g_memdup(&inode, sizeof(inode)),
			    GUINT_TO_POINTER(scan->seen->len));
}

/* The kernel says EACCES, too, of a process that has ended within the call (fs/proc/namespaces.c,
 * proc_ns_readlink()): then it says another thing the next time. */
static bool may_not_be_asked(int proc_fd, const char *path)
{
	uint64_t inode;

	if (errno != EACCES && errno != EPERM)
		return false;
	return !sf_process_scan_inode(proc_fd, path, &inode) && (errno == EACCES || errno == EPERM);
}

static void ask(Scan *scan, pid_t pid, uint64_t own, guint *unread)
{
	char path[32];
	uint64_t inode;

	g_snprintf(path, sizeof(path), "%d/ns/mnt", (int)pid);
	if (!sf_process_scan_inode(scan->proc_fd, path, &inode))
		*unread += may_not_be_asked(scan->proc_fd, path);
	else if (inode != own)
		see_other(scan, inode, pid);
}

pid_t sf_process_scan_last_pid(const char *proc)
{
	g_autofree char *text = sf_sysfs_read(proc, "loadavg");
	int pid;

	return text && sscanf(text, "%*s %*s %*s %*s %d", &pid) == 1 ? pid : 0;
}

GArray *sf_process_scan(const char *proc, int proc_fd, uint64_t own, pid_t after, guint *out_unread)
{
	g_autoptr(GArray) depths = g_array_new(FALSE, FALSE, sizeof(size_t));
	g_autoptr(GHashTable) numbers =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	Scan scan = {.proc_fd = proc_fd, .depths = depths, .numbers = numbers};
	pid_t last = after > 0 ? sf_process_scan_last_pid(proc) : 0;
	g_autoptr(GArray) pids = NULL;

	scan.seen = g_array_new(FALSE, FALSE, sizeof(SfSeenNamespace));
	*out_unread = 0;
	if (last >= after && last - after < MAX_STEPS && after > 0) {
		for (pid_t pid = after + 1; pid <= last; pid++)
			ask(&scan, pid, own, out_unread);
		return scan.seen;
	}
	/* All, too, where pids have begun anew. */
	pids = sf_sysfs_list_numbered(proc, "");
	for (guint i = 0; i < pids->len; i++)
		ask(&scan, (pid_t)g_array_index(pids, guint64, i), own, out_unread);
	return scan.seen;
}
