/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what sysfs shows of block devices and what they lie on, each read once. Invariant: a device
 * that could not be read whole has backing_hidden set, so that nobody takes "not shown" for "not
 * there". Called by backing, members and superblocks.
 */
#include "config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/blockdev.h"
#include "agent/sysfs.h"

struct SfBlockdevs {
	const char *sys, *dev;
	GHashTable *known;    /* SfDevice* -> SfBlockdev */
	GHashTable *dm_names; /* (nullable): char* -> SfDevice*, read at the first question */
};

static void blockdev_free(gpointer data)
{
	SfBlockdev *blockdev = data;

	g_free(blockdev->name);
	g_free(blockdev->backing_file);
	g_array_unref(blockdev->below);
	g_free(blockdev);
}

SfBlockdevs *sf_blockdevs_new(const char *sys, const char *dev)
{
	SfBlockdevs *blockdevs = g_new0(SfBlockdevs, 1);

	blockdevs->sys = sys;
	blockdevs->dev = dev;
	blockdevs->known = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, blockdev_free);
	return blockdevs;
}

void sf_blockdevs_free(SfBlockdevs *blockdevs)
{
	g_hash_table_unref(blockdevs->known);
	g_clear_pointer(&blockdevs->dm_names, g_hash_table_unref);
	g_free(blockdevs);
}

static bool is_numbered(const char *name, const char *kind)
{
	size_t length = strlen(kind);

	return strncmp(name, kind, length) == 0 && g_ascii_isdigit(name[length]);
}

/* A disk over a network may end on this machine, and so may one that a process serves: its file can
 * lie on a filesystem that is frozen too. */
static bool is_served_unseen(const char *name, const char *folder)
{
	static const char *const kinds[] = {"nbd", "ublkb", "rbd", "drbd", "zram", "zd"};
	static const char *const ways[] = {"/session", "/nvme-fabrics/", "/tcm_loop", "/vduse/"};

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (is_numbered(name, kinds[i]))
			return true;
	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
		if (strstr(folder, ways[i]))
			return true;
	return false;
}

/* A disk with several paths lies in its subsystem; how the paths come in is told by the
 * controllers beside it. */
static bool is_nvme_over_fabrics(const char *folder)
{
	g_autofree char *subsystem = g_path_get_dirname(folder);
	g_autoptr(GPtrArray) names = NULL;
	bool has_controller = false;

	if (!strstr(subsystem, "/nvme-subsystem/"))
		return false;
	names = sf_sysfs_list(subsystem);
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *link = g_build_filename(subsystem, name, NULL);
		g_autofree char *target = realpath(link, NULL);

		/* "nvme0" is a controller, "nvme0n1" a disk and "nvme0c1n1" one path of it. */
		if (!is_numbered(name, "nvme") || strpbrk(name + strlen("nvme"), "nc"))
			continue;
		if (!target || strstr(target, "/nvme-fabrics/"))
			return true;
		has_controller = true;
	}
	return !has_controller;
}

static void add_below(SfBlockdev *blockdev, const char *folder)
{
	SfDevice device;

	if (sf_sysfs_read_device(folder, "dev", &device))
		g_array_append_val(blockdev->below, device);
	else
		blockdev->backing_hidden = true;
}

static void read_slaves(SfBlockdev *blockdev, const char *folder)
{
	g_autofree char *slaves = g_build_filename(folder, "slaves", NULL);
	g_autoptr(GPtrArray) names = sf_sysfs_list(slaves);

	for (guint i = 0; i < names->len; i++) {
		g_autofree char *slave =
			g_build_filename(slaves, g_ptr_array_index(names, i), NULL);

		add_below(blockdev, slave);
	}
}

static void read_backing(SfBlockdev *blockdev, const char *folder)
{
	static const char *const stacked[] = {"dm-", "md", "bcache"};
	g_autofree char *partition = sf_sysfs_read(folder, "partition");

	if (is_served_unseen(blockdev->name, folder) || is_nvme_over_fabrics(folder)) {
		blockdev->backing_hidden = true;
		return;
	}
	if (partition) {
		g_autofree char *disk = g_path_get_dirname(folder);

		add_below(blockdev, disk);
		return;
	}
	read_slaves(blockdev, folder);
	for (size_t i = 0; i < G_N_ELEMENTS(stacked); i++)
		if (is_numbered(blockdev->name, stacked[i]) && blockdev->below->len == 0)
			blockdev->backing_hidden = true;
	if (is_numbered(blockdev->name, "loop")) {
		blockdev->backing_file = sf_sysfs_read(folder, "loop/backing_file");
		if (!blockdev->backing_file)
			blockdev->backing_hidden = true;
	}
}

/* (nullable) (transfer full): the link leads straight to where the device is, so its text tells as
 * much as realpath(), which would ask for each folder on the way. */
static char *find_folder(SfBlockdevs *blockdevs, SfDevice device)
{
	g_autofree char *links = g_build_filename(blockdevs->sys, "dev/block", NULL);
	g_autofree char *link = g_strdup_printf("%s/%u:%u", links, SF_DEVICE_MAJOR(device),
						SF_DEVICE_MINOR(device));
	g_autofree char *target = g_file_read_link(link, NULL);

	return target ? g_canonicalize_filename(target, links) : NULL;
}

static SfBlockdev *read_blockdev(SfBlockdevs *blockdevs, SfDevice device)
{
	SfBlockdev *blockdev = g_new0(SfBlockdev, 1);
	g_autofree char *folder = find_folder(blockdevs, device);

	blockdev->device = device;
	blockdev->below = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	if (!folder) {
		blockdev->backing_hidden = true;
		return blockdev;
	}
	blockdev->name = g_path_get_basename(folder);
	read_backing(blockdev, folder);
	return blockdev;
}

const SfBlockdev *sf_blockdevs_get(SfBlockdevs *blockdevs, SfDevice device)
{
	SfBlockdev *blockdev = g_hash_table_lookup(blockdevs->known, &device);

	if (!blockdev) {
		blockdev = read_blockdev(blockdevs, device);
		g_hash_table_insert(blockdevs->known, &blockdev->device, blockdev);
	}
	return blockdev;
}

bool sf_blockdevs_find_name(SfBlockdevs *blockdevs, const char *name, SfDevice *out_device)
{
	g_autofree char *folder = g_build_filename(blockdevs->sys, "class/block", name, NULL);

	if (*name == '\0' || *name == '.')
		return false;
	return sf_sysfs_read_device(folder, "dev", out_device);
}

static GHashTable *read_dm_names(SfBlockdevs *blockdevs)
{
	GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autofree char *class = g_build_filename(blockdevs->sys, "class/block", NULL);
	g_autoptr(GPtrArray) names = sf_sysfs_list(class);

	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *folder = g_build_filename(class, name, NULL);
		g_autofree char *dm_name = NULL;
		g_autofree SfDevice *device = g_new0(SfDevice, 1);

		if (!is_numbered(name, "dm-"))
			continue;
		dm_name = sf_sysfs_read(folder, "dm/name");
		if (dm_name && sf_sysfs_read_device(folder, "dev", device))
			g_hash_table_insert(table, g_steal_pointer(&dm_name),
					    g_steal_pointer(&device));
	}
	return table;
}

static bool find_dm_name(SfBlockdevs *blockdevs, const char *name, SfDevice *out_device)
{
	const SfDevice *device;

	if (!blockdevs->dm_names)
		blockdevs->dm_names = read_dm_names(blockdevs);
	device = g_hash_table_lookup(blockdevs->dm_names, name);
	if (device)
		*out_device = *device;
	return device != NULL;
}

/* Links such as /dev/vg/lv. Only where they lie in memory, so that looking cannot hang. */
static bool find_node(SfBlockdevs *blockdevs, const char *path, const SfMounts *mounts,
		      SfDevice *out_device)
{
	const SfMount *holder = sf_mounts_find_holder(mounts, path);
	g_autofree char *node = g_build_filename(blockdevs->dev, path + strlen("/dev/"), NULL);
	struct stat info;

	if (!holder || holder->kind != SF_FSKIND_MEMORY || holder->is_behind_remote)
		return false;
	if (stat(node, &info) < 0 || !S_ISBLK(info.st_mode))
		return false;
	*out_device = SF_DEVICE(major(info.st_rdev), minor(info.st_rdev));
	return true;
}

bool sf_blockdevs_find_path(SfBlockdevs *blockdevs, const char *path, const SfMounts *mounts,
			    SfDevice *out_device)
{
	g_autofree char *name = NULL;

	if (!g_str_has_prefix(path, "/dev/") || strstr(path, "/../"))
		return false;
	if (g_str_has_prefix(path, "/dev/mapper/") &&
	    find_dm_name(blockdevs, path + strlen("/dev/mapper/"), out_device))
		return true;
	/* The kernel's names have '!' where a node lies in a folder ("cciss!c0d0"). */
	name = g_strdelimit(g_strdup(path + strlen("/dev/")), "/", '!');
	return sf_blockdevs_find_name(blockdevs, name, out_device) ||
	       find_node(blockdevs, path, mounts, out_device);
}
