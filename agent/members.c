/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the knowledge which block devices a superblock has beside the one that its number names:
 * btrfs and bcachefs lie on several, XFS and ext4 may keep their log elsewhere. Invariant: where
 * one that must exist is not found, is_whole is false. Called by plan and superblocks.
 */
#include "config.h"

#include <string.h>

#include "agent/members.h"
#include "agent/sysfs.h"

struct SfMembersIndex {
	const char *proc, *sys;
	const SfMounts *mounts;
	SfBlockdevs *blockdevs;
	GHashTable *btrfs_uuids;   /* (nullable): SfDevice* -> char* */
	GHashTable *btrfs_devices; /* (nullable): char* -> GArray of SfDevice */
	GHashTable *jbd2_internal; /* (nullable): set of char*, "vda1-8" without the "-8" */
	GPtrArray *jbd2_external;  /* (nullable): of char*, names of devices */
};

/* A task's name has 15 letters before Linux 5.17. */
#define MAX_COMM 15

SfMembersIndex *sf_members_index_new(const char *proc, const char *sys, const SfMounts *mounts,
				     SfBlockdevs *blockdevs)
{
	SfMembersIndex *index = g_new0(SfMembersIndex, 1);

	index->proc = proc;
	index->sys = sys;
	index->mounts = mounts;
	index->blockdevs = blockdevs;
	return index;
}

void sf_members_index_free(SfMembersIndex *index)
{
	g_clear_pointer(&index->btrfs_uuids, g_hash_table_unref);
	g_clear_pointer(&index->btrfs_devices, g_hash_table_unref);
	g_clear_pointer(&index->jbd2_internal, g_hash_table_unref);
	g_clear_pointer(&index->jbd2_external, g_ptr_array_unref);
	g_free(index);
}

void sf_members_free(SfMembers *members)
{
	g_array_unref(members->devices);
	g_array_unref(members->possible);
	g_free(members);
}

static void add_btrfs(SfMembersIndex *index, const char *base, const char *uuid)
{
	g_autofree char *folder = g_build_filename(base, uuid, "devices", NULL);
	g_autoptr(GPtrArray) names = sf_sysfs_list(folder);
	g_autoptr(GArray) devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	g_autofree char *key = g_strdup(uuid);

	for (guint i = 0; i < names->len; i++) {
		g_autofree char *link = g_build_filename(folder, g_ptr_array_index(names, i), NULL);
		g_autofree SfDevice *device = g_new0(SfDevice, 1);

		if (!sf_sysfs_read_device(link, "dev", device))
			continue;
		g_array_append_val(devices, *device);
		g_hash_table_insert(index->btrfs_uuids, g_steal_pointer(&device), key);
	}
	/* One of its devices is not shown (it is missing, or has just gone): not whole. */
	if (devices->len != names->len)
		g_array_set_size(devices, 0);
	if (names->len > 0)
		g_hash_table_insert(index->btrfs_devices, g_steal_pointer(&key),
				    g_steal_pointer(&devices));
}

static void read_btrfs(SfMembersIndex *index)
{
	g_autofree char *base = g_build_filename(index->sys, "fs/btrfs", NULL);
	g_autoptr(GPtrArray) uuids = NULL;

	if (index->btrfs_uuids)
		return;
	index->btrfs_uuids = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	index->btrfs_devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						     (GDestroyNotify)g_array_unref);
	uuids = sf_sysfs_list(base);
	for (guint i = 0; i < uuids->len; i++)
		add_btrfs(index, base, g_ptr_array_index(uuids, i));
}

const char *sf_members_btrfs_uuid(SfMembersIndex *index, SfDevice device)
{
	read_btrfs(index);
	return g_hash_table_lookup(index->btrfs_uuids, &device);
}

static void find_btrfs(SfMembersIndex *index, const SfMount *mount, SfMembers *members)
{
	SfDevice device;
	const char *uuid = NULL;
	const GArray *devices;

	members->is_whole = false;
	if (sf_blockdevs_find_path(index->blockdevs, mount->source, index->mounts, &device))
		uuid = sf_members_btrfs_uuid(index, device);
	if (!uuid)
		return;
	devices = g_hash_table_lookup(index->btrfs_devices, uuid);
	g_array_append_vals(members->devices, devices->data, devices->len);
	members->is_whole = devices->len > 0;
}

/* Its source names all devices, with colons between. */
static void find_bcachefs(SfMembersIndex *index, const SfMount *mount, SfMembers *members)
{
	g_auto(GStrv) paths = g_strsplit(mount->source, ":", -1);
	SfDevice device;

	members->is_whole = paths[0] != NULL;
	for (char **path = paths; *path; path++)
		if (sf_blockdevs_find_path(index->blockdevs, *path, index->mounts, &device))
			g_array_append_val(members->devices, device);
		else
			members->is_whole = false;
}

static void find_xfs(SfMembersIndex *index, const SfMount *mount, SfMembers *members)
{
	g_auto(GStrv) options = g_strsplit(mount->super_options, ",", -1);

	for (char **option = options; *option; option++) {
		const char *path = strchr(*option, '=');
		SfDevice device;

		if (!g_str_has_prefix(*option, "logdev=") && !g_str_has_prefix(*option, "rtdev="))
			continue;
		if (sf_blockdevs_find_path(index->blockdevs, path + 1, index->mounts, &device))
			g_array_append_val(members->devices, device);
		else
			members->is_whole = false;
	}
}

/* An entry is "DEVICE-INODE" for a journal within the filesystem and "DEVICE" for one on a device
 * of its own; "dm-0" is the latter, so ask whether there is such a device. */
static void read_jbd2(SfMembersIndex *index)
{
	g_autofree char *folder = g_build_filename(index->proc, "fs/jbd2", NULL);
	g_autoptr(GPtrArray) names = NULL;

	if (index->jbd2_internal)
		return;
	index->jbd2_internal = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	index->jbd2_external = g_ptr_array_new_with_free_func(g_free);
	names = sf_sysfs_list(folder);
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		const char *dash = strrchr(name, '-');
		SfDevice device;

		if (sf_blockdevs_find_name(index->blockdevs, name, &device))
			g_ptr_array_add(index->jbd2_external, g_strdup(name));
		else if (dash)
			g_hash_table_add(index->jbd2_internal, g_strndup(name, dash - name));
	}
}

/* (nullable): the journal's thread, "jbd2/vdb1"; "" where there is no journal. %NULL: the kernel
 * does not tell (it does since 5.0). */
static char *find_journal_task(SfMembersIndex *index, const char *device)
{
	g_autofree char *folder = g_build_filename(index->sys, "fs/ext4", device, NULL);
	g_autofree char *pid = sf_sysfs_read(folder, "journal_task");
	g_autofree char *process = NULL;

	if (pid && !g_ascii_isdigit(*pid))
		return g_strdup("");
	if (!pid)
		return NULL;
	process = g_build_filename(index->proc, pid, NULL);
	return sf_sysfs_read(process, "comm");
}

/* @task: (nullable): as find_journal_task() tells */
static bool may_be_of_task(const char *journal, const char *task)
{
	g_autofree char *name = g_strconcat("jbd2/", journal, NULL);

	if (!task || g_str_equal(name, task))
		return true;
	return strlen(task) == MAX_COMM && g_str_has_prefix(name, task);
}

static void find_ext4(SfMembersIndex *index, SfDevice device, SfMembers *members)
{
	const char *name = sf_blockdevs_get(index->blockdevs, device)->name;
	g_autofree char *task = NULL;

	read_jbd2(index);
	if (!name || g_hash_table_contains(index->jbd2_internal, name))
		return;
	task = find_journal_task(index, name);
	for (guint i = 0; i < index->jbd2_external->len; i++) {
		const char *journal = g_ptr_array_index(index->jbd2_external, i);
		SfDevice found;

		if (may_be_of_task(journal, task) &&
		    sf_blockdevs_find_name(index->blockdevs, journal, &found))
			g_array_append_val(members->possible, found);
	}
	if (task && members->possible->len == 1) {
		g_array_append_vals(members->devices, members->possible->data, 1);
		g_array_set_size(members->possible, 0);
	}
}

SfMembers *sf_members_find(SfMembersIndex *index, const SfMount *mount)
{
	SfMembers *members = g_new0(SfMembers, 1);

	members->devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	members->possible = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	members->is_whole = true;

	if (SF_DEVICE_MAJOR(mount->device) != 0)
		g_array_append_val(members->devices, mount->device);
	if (g_str_equal(mount->fstype, "btrfs"))
		find_btrfs(index, mount, members);
	else if (g_str_equal(mount->fstype, "bcachefs"))
		find_bcachefs(index, mount, members);
	else if (g_str_equal(mount->fstype, "xfs"))
		find_xfs(index, mount, members);
	else if (g_str_equal(mount->fstype, "ext4") || g_str_equal(mount->fstype, "ext3"))
		find_ext4(index, mount->device, members);
	return members;
}
