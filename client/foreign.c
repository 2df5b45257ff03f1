/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The emergency exit: one FITHAW on a filesystem that somebody else froze, and the only one in the
 * client. Nothing owns a freeze in the kernel: it takes any FITHAW for the owner's. So this can
 * break somebody's snapshot that is being taken at this moment, with no trace for him; it does one
 * filesystem, only by name, and never one that our agent holds. cmd-thaw calls it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/freezer/ioctls.h"
#include "client/foreign.h"
#include "client/reply.h"
#include "protocol/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FILE, fclose)

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define auto_fd __attribute__((cleanup(close_fd)))

typedef struct libmnt_table MountTable;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountTable, mnt_unref_table)

static MountTable *read_table(GError **error)
{
	MountTable *table = mnt_new_table_from_file("/proc/self/mountinfo");

	if (!table)
		sf_throw(error, "cannot read /proc/self/mountinfo");
	return table;
}

static int mount_id_of(int fd)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", fd);
	g_autoptr(FILE) file = fopen(path, "re");
	char line[128];
	int id = -1;

	while (file && id < 0 && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = -1;
	}
	return id;
}

static struct libmnt_fs *find_mount(MountTable *table, int id)
{
	struct libmnt_iter *walk = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs = NULL;

	while (walk && mnt_table_next_fs(table, walk, &fs) == 0) {
		if (mnt_fs_get_id(fs) == id)
			break;
		fs = NULL;
	}
	mnt_free_iter(walk);
	return fs;
}

/* The mount that @fd stands on the top of. A path inside a mount would do for the kernel just as
 * well, and a mistyped or unmounted one would so reach the filesystem that holds it, '/' perhaps.
 */
static struct libmnt_fs *find_root_mount(MountTable *table, int fd, const char *mountpoint,
					 GError **error)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autofree char *path = g_file_read_link(link, NULL);
	struct libmnt_fs *fs = find_mount(table, mount_id_of(fd));

	if (fs && g_strcmp0(mnt_fs_get_target(fs), path) == 0)
		return fs;
	sf_throw(error, "'%s' is not a mount point", mountpoint);
	return NULL;
}

/* Opens the path without touching what stands there, then for real where that is harmless. */
static int open_mount(MountTable *table, const char *mountpoint, dev_t *out_device, GError **error)
{
	auto_fd int path_fd = open(mountpoint, O_PATH | O_CLOEXEC);
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", path_fd);
	struct libmnt_fs *fs;
	struct stat status;
	int fd;

	if (path_fd < 0 || fstat(path_fd, &status) < 0) {
		sf_throw_errno(error, "open '%s'", mountpoint);
		return -1;
	}
	fs = find_root_mount(table, path_fd, mountpoint, error);
	if (!fs)
		return -1;
	if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) {
		sf_throw(error, "'%s' is neither a directory nor a file", mountpoint);
		return -1;
	}
	fd = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		sf_throw_errno(error, "open '%s'", mountpoint);
	else
		*out_device = mnt_fs_get_devno(fs);
	return fd;
}

static bool is_held(const char *state)
{
	static const char *const held[] = {"planned", "freezing", "frozen",
					   "thawing", "draining", NULL};

	return state && g_strv_contains(held, state);
}

/* The agent may name the superblock by another of its mount points, or by one that this process
 * cannot see. */
static bool is_same(MountTable *table, const char *listed, const char *mountpoint, dev_t device)
{
	struct libmnt_fs *fs = mnt_table_find_target(table, listed, MNT_ITER_BACKWARD);

	return g_str_equal(listed, mountpoint) || (fs && mnt_fs_get_devno(fs) == device);
}

static bool is_held_by_agent(MountTable *table, JsonObject *status, const char *mountpoint,
			     dev_t device)
{
	JsonArray *filesystems = sf_reply_array(status, "filesystems");

	for (unsigned int i = 0; i < sf_reply_length(filesystems); i++) {
		JsonObject *filesystem = sf_reply_object_at(filesystems, i);
		const char *listed = sf_reply_string(filesystem, "mountpoint");

		if (listed && is_held(sf_reply_string(filesystem, "state")) &&
		    is_same(table, listed, mountpoint, device))
			return true;
	}
	return false;
}

/* Frozen, but not saying what: then it may be anything. */
static bool is_silent(JsonObject *status)
{
	return g_strcmp0(sf_reply_string(status, "state"), "thawed") != 0 &&
	       !sf_reply_array(status, "filesystems");
}

static bool check_status(MountTable *table, JsonNode *node, const char *mountpoint, dev_t device,
			 GError **error)
{
	JsonObject *status = sf_reply_root(node);

	if (is_silent(status) || is_held_by_agent(table, status, mountpoint, device))
		return sf_throw(error, "'%s' is frozen by the agent: use 'snapfreeze thaw'",
				mountpoint);
	return true;
}

/* No agent here, or one without freezes of ours, holds nothing. One that is there and does not
 * answer may hold it: its freezer thaws what it holds by itself. */
static bool check_not_agents(SfInvocation *invocation, MountTable *table, const char *mountpoint,
			     dev_t device, GError **error)
{
	g_autoptr(GError) reason = NULL;
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, &reason);
	g_autoptr(JsonNode) status = NULL;

	if (client)
		status = sf_client_call(client, "snapfreeze-status", NULL,
					sf_invocation_wait_ms(invocation, SF_WAIT_SHORT_MS),
					&reason);
	if (status)
		return check_status(table, status, mountpoint, device, error);
	if (g_error_matches(reason, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT)) {
		sf_say(invocation, "no agent at '%s', so this is not its freeze",
		       invocation->socket);
		return true;
	}
	if (sf_error_is_unknown_command(reason))
		return true;
	g_propagate_error(error, g_steal_pointer(&reason));
	return false;
}

bool sf_foreign_thaw(SfInvocation *invocation, const char *mountpoint, GError **error)
{
	g_autoptr(MountTable) table = NULL;
	auto_fd int fd = -1;
	dev_t device;
	int result;

	if (geteuid() != 0)
		return sf_throw(error, "only root can thaw a filesystem");
	table = read_table(error);
	if (!table)
		return false;
	fd = open_mount(table, mountpoint, &device, error);
	if (fd < 0 || !check_not_agents(invocation, table, mountpoint, device, error))
		return false;

	/* From here on somebody's freeze, and with it his snapshot, may be broken. */
	result = sf_ioctl_thaw(fd);
	if (result == -EINVAL)
		return sf_throw(error, "'%s' is not frozen", mountpoint);
	errno = -result;
	if (result < 0)
		return sf_throw_errno(error, "thaw '%s'", mountpoint);
	sf_say(invocation, "thawed '%s'; a snapshot that relied on that freeze is worthless",
	       mountpoint);
	return true;
}
