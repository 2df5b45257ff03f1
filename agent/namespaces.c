/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the mount tables of the other namespaces: one of each that a process lives in, read through
 * that process. Invariant: a table is that of the namespace it stands for, since the process's
 * folder is opened once and its namespace is looked at after the table was opened; and each is
 * watched from before it is read. Called by plan, evidence and recovery.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/namespaces.h"
#include "agent/process-scan.h"
#include "agent/table-text.h"

/* A process that ends while it is looked at may not be the last of its namespace. */
#define MAX_TRIES 3

/* The table of another namespace. */
typedef struct {
	SfNamespace *space;
	SfMounts *mounts; /* (nullable): nothing in it is of interest */
	int watch;        /* its mountinfo: the kernel tells there that the table has changed */
} Table;

struct SfNamespaces {
	char *proc;
	int proc_fd;       /* -1: there is nothing to look at */
	uint64_t own;      /* the inode of the own namespace */
	GPtrArray *tables; /* of Table, by pid */
	GHashTable *known; /* set of uint64_t*: the inodes of all that were seen */
	guint unread_tables, unread_processes;
	pid_t last_pid; /* when the processes were asked last */
	bool hold_anonymous;
};

static void namespace_clear(gpointer data)
{
	SfNamespace *space = data;

	g_free(space->process);
	g_free(space->command);
}

SfNamespace *sf_namespace_new(uint64_t inode, pid_t pid, const char *process, const char *command)
{
	SfNamespace *space = g_rc_box_new0(SfNamespace);

	space->inode = inode;
	space->pid = pid;
	space->process = g_strdup(process);
	space->command = g_strdup(command);
	return space;
}

SfNamespace *sf_namespace_ref(const SfNamespace *space)
{
	return space ? g_rc_box_acquire((gpointer)space) : NULL;
}

void sf_namespace_unref(SfNamespace *space)
{
	if (space)
		g_rc_box_release_full(space, namespace_clear);
}

bool sf_namespace_equal(const SfNamespace *a, const SfNamespace *b)
{
	return a == b || (a && b && a->inode == b->inode);
}

static void table_free(gpointer data)
{
	Table *table = data;

	sf_mounts_free(table->mounts);
	sf_namespace_unref(table->space);
	if (table->watch >= 0)
		close(table->watch);
	g_free(table);
}

static SfNamespaces *namespaces_new(const char *proc)
{
	SfNamespaces *namespaces = g_new0(SfNamespaces, 1);

	namespaces->proc = g_strdup(proc);
	namespaces->proc_fd = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	namespaces->tables = g_ptr_array_new_with_free_func(table_free);
	namespaces->known = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	if (namespaces->proc_fd >= 0 &&
	    !sf_process_scan_inode(namespaces->proc_fd, "self/ns/mnt", &namespaces->own)) {
		close(namespaces->proc_fd);
		namespaces->proc_fd = -1;
	}
	return namespaces;
}

void sf_namespaces_free(SfNamespaces *namespaces)
{
	if (!namespaces)
		return;
	if (namespaces->proc_fd >= 0)
		close(namespaces->proc_fd);
	g_free(namespaces->proc);
	g_ptr_array_unref(namespaces->tables);
	g_hash_table_unref(namespaces->known);
	g_free(namespaces);
}

static bool is_known(const SfNamespaces *namespaces, uint64_t inode)
{
	return g_hash_table_contains(namespaces->known, &inode);
}

static void know(SfNamespaces *namespaces, uint64_t inode)
{
	g_hash_table_add(namespaces->known, g_memdup(&inode, sizeof(inode)));
}

static char *read_command(int folder)
{
	int fd = openat(folder, "comm", O_RDONLY | O_CLOEXEC);
	g_autoptr(GByteArray) text = fd >= 0 ? sf_table_text_read(fd) : NULL;

	if (fd >= 0)
		close(fd);
	return text ? g_strchomp(g_utf8_make_valid((char *)text->data, text->len)) : g_strdup("");
}

static SfNamespace *namespace_seen(const char *proc, const SfSeenNamespace *seen, int folder)
{
	g_autofree char *process = g_strdup_printf("%s/%d", proc, (int)seen->pid);
	g_autofree char *command = read_command(folder);

	return sf_namespace_new(seen->inode, seen->pid, process, command);
}

typedef enum { TABLE_READ, TABLE_UNREADABLE, TABLE_PROCESS_ENDED } TableResult;

static TableResult explain_failure(void)
{
	return errno == ENOENT || errno == ESRCH || errno == EINVAL ? TABLE_PROCESS_ENDED
								    : TABLE_UNREADABLE;
}

/* @text: of @table->watch */
static TableResult parse_table(SfNamespaces *namespaces, Table *table, GByteArray *text,
			       const SfMounts *mounts)
{
	SfTableGlance glance = sf_table_text_glance(text, mounts);
	g_autofree char *name = g_build_filename(table->space->process, "mountinfo", NULL);

	namespaces->hold_anonymous |= glance.holds_anonymous;
	if (!glance.is_of_interest)
		return TABLE_READ;
	table->mounts = sf_mounts_parse((char *)text->data, text->len, name, NULL);
	return table->mounts ? TABLE_READ : TABLE_UNREADABLE;
}

static TableResult read_table(SfNamespaces *namespaces, Table *table, const SfSeenNamespace *seen,
			      int folder, const SfMounts *mounts)
{
	g_autoptr(GByteArray) text = NULL;
	uint64_t inode;

	table->watch = openat(folder, "mountinfo", O_RDONLY | O_CLOEXEC);
	if (table->watch < 0)
		return explain_failure();
	/* The file is that of the namespace in which the process was when it was opened. */
	if (!sf_process_scan_inode(folder, "ns/mnt", &inode) || inode != seen->inode)
		return TABLE_PROCESS_ENDED;
	text = sf_table_text_read(table->watch);
	if (!text)
		return explain_failure();
	table->space = namespace_seen(namespaces->proc, seen, folder);
	return parse_table(namespaces, table, text, mounts);
}

/* Keeps in @mounts what only this table shows. */
static void add_mounts(SfMounts *mounts, const Table *table)
{
	const GPtrArray *all = table->mounts->mounts;

	for (guint i = 0; i < all->len; i++) {
		SfMount *mount = g_ptr_array_index(all, i);
		const GPtrArray *known = sf_mounts_of_device(mounts, mount->device);

		if (known && !((const SfMount *)g_ptr_array_index(known, 0))->space)
			continue;
		if (!sf_table_text_is_kind_of_interest(mount->kind))
			continue;
		mount->space = table->space;
		sf_mounts_append(mounts, mount);
	}
}

static TableResult look_at(SfMounts *mounts, const SfSeenNamespace *seen)
{
	SfNamespaces *namespaces = mounts->others;
	Table *table = g_new0(Table, 1);
	g_autofree char *pid = g_strdup_printf("%d", (int)seen->pid);
	TableResult result = TABLE_UNREADABLE;
	int folder;

	table->watch = -1;
	folder = openat(namespaces->proc_fd, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0) {
		result = explain_failure();
	} else {
		result = read_table(namespaces, table, seen, folder, mounts);
		close(folder);
	}
	if (result == TABLE_READ) {
		g_ptr_array_add(namespaces->tables, table);
		if (table->mounts)
			add_mounts(mounts, table);
	} else {
		table_free(table);
	}
	return result;
}

static GArray *scan(SfNamespaces *namespaces, SfWhichProcesses which)
{
	pid_t after = which == SF_PROCESSES_NEW ? namespaces->last_pid : 0;
	guint unread;
	GArray *seen;

	namespaces->last_pid = sf_process_scan_last_pid(namespaces->proc);
	seen = sf_process_scan(namespaces->proc, namespaces->proc_fd, namespaces->own, after,
			       &unread);
	namespaces->unread_processes = MAX(namespaces->unread_processes, unread);
	return seen;
}

/* Returns whether another try may find more. */
static bool read_others(SfMounts *mounts)
{
	SfNamespaces *namespaces = mounts->others;
	g_autoptr(GArray) seen = scan(namespaces, SF_PROCESSES_ALL);
	bool has_ended = false;

	for (guint i = 0; i < seen->len; i++) {
		const SfSeenNamespace *other = &g_array_index(seen, SfSeenNamespace, i);
		TableResult result = TABLE_UNREADABLE;

		if (is_known(namespaces, other->inode))
			continue;
		if (namespaces->tables->len < SF_NAMESPACES_MAX)
			result = look_at(mounts, other);
		has_ended |= result == TABLE_PROCESS_ENDED;
		namespaces->unread_tables += result == TABLE_UNREADABLE;
		if (result != TABLE_PROCESS_ENDED)
			know(namespaces, other->inode);
	}
	return has_ended;
}

SfMounts *sf_namespaces_read(const SfPlanSource *source, GError **error)
{
	SfMounts *mounts = sf_mounts_read(source->mountinfo, error);

	if (!mounts)
		return NULL;
	mounts->others = namespaces_new(source->proc);
	for (int i = 0; i < MAX_TRIES && mounts->others->proc_fd >= 0; i++)
		if (!read_others(mounts))
			break;
	return mounts;
}

/* Looks at each, since the kernel tells of a change once. */
static bool has_changed_table(const SfNamespaces *namespaces)
{
	guint n = namespaces->tables->len;
	g_autofree struct pollfd *polled = g_new0(struct pollfd, n + 1);

	for (guint i = 0; i < n; i++) {
		const Table *table = g_ptr_array_index(namespaces->tables, i);

		polled[i] = (struct pollfd){.fd = table->watch, .events = POLLPRI};
	}
	return poll(polled, n, 0) > 0;
}

static bool has_new_namespace(SfNamespaces *namespaces, SfWhichProcesses which)
{
	g_autoptr(GArray) seen = scan(namespaces, which);
	bool is_new = false;

	for (guint i = 0; i < seen->len; i++) {
		uint64_t inode = g_array_index(seen, SfSeenNamespace, i).inode;

		if (is_known(namespaces, inode))
			continue;
		know(namespaces, inode);
		is_new = true;
	}
	return is_new;
}

/* A way through a process that has ended is none any more. */
static bool has_lost_process(const SfNamespaces *namespaces)
{
	for (guint i = 0; i < namespaces->tables->len; i++) {
		const Table *table = g_ptr_array_index(namespaces->tables, i);
		g_autofree char *path = g_strdup_printf("%d/ns/mnt", (int)table->space->pid);
		uint64_t inode;

		if (table->mounts && (!sf_process_scan_inode(namespaces->proc_fd, path, &inode) ||
				      inode != table->space->inode))
			return true;
	}
	return false;
}

bool sf_namespaces_have_changed(const SfMounts *mounts, SfWhichProcesses which)
{
	SfNamespaces *namespaces = mounts->others;
	bool is_changed, is_new;

	if (!namespaces || namespaces->proc_fd < 0)
		return false;
	is_changed = has_changed_table(namespaces);
	is_new = has_new_namespace(namespaces, which);
	return is_changed || is_new || has_lost_process(namespaces);
}

guint sf_namespaces_count_unread(const SfMounts *mounts)
{
	const SfNamespaces *namespaces = mounts->others;

	return namespaces ? namespaces->unread_tables + namespaces->unread_processes : 0;
}

bool sf_namespaces_hold_anonymous(const SfMounts *mounts)
{
	return mounts->others && mounts->others->hold_anonymous;
}

bool sf_namespaces_may_hang(const SfMounts *mounts, const char *path)
{
	const SfNamespaces *namespaces = mounts->others;

	for (guint i = 0; namespaces && i < namespaces->tables->len; i++) {
		const Table *table = g_ptr_array_index(namespaces->tables, i);

		if (table->mounts && sf_mounts_may_hang(table->mounts, path))
			return true;
	}
	return false;
}

const SfMount *sf_namespaces_at_path(const SfMounts *mounts, uint64_t inode, const char *path)
{
	const SfNamespaces *namespaces = mounts->others;

	for (guint i = 0; namespaces && i < namespaces->tables->len; i++) {
		const Table *table = g_ptr_array_index(namespaces->tables, i);

		if (table->mounts && table->space->inode == inode)
			return sf_mounts_topmost(sf_mounts_at_path(table->mounts, path));
	}
	return NULL;
}

bool sf_namespaces_of_process(const char *proc, const char *pid, uint64_t *out_inode)
{
	g_autofree char *path = g_build_filename(proc, pid, "ns/mnt", NULL);

	return sf_process_scan_inode(AT_FDCWD, path, out_inode);
}
