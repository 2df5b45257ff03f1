/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the comparison of a mount table with the superblocks that filesystems show in sysfs. Called
 * by warnings, and by the lookout while frozen. */
#include "config.h"

#include "agent/blockdev.h"
#include "agent/members.h"
#include "agent/superblocks.h"
#include "agent/sysfs.h"

static char *describe(const char *fstype, const char *name)
{
	return g_strdup_printf("%s on %s", fstype, name);
}

static bool is_held(GHashTable *held, const char *fstype, const char *name)
{
	g_autofree char *text = describe(fstype, name);

	return held && g_hash_table_contains(held, text);
}

/* A folder per superblock, named after its device; other names ("features") are no devices. */
static void find_by_device(const SfPlanSource *source, SfBlockdevs *blockdevs,
			   const SfMounts *mounts, GHashTable *held, const char *fstype,
			   GPtrArray *unknown)
{
	g_autofree char *folder = g_build_filename(source->sys, "fs", fstype, NULL);
	g_autoptr(GPtrArray) names = sf_sysfs_list(folder);

	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		SfDevice device;

		if (!is_held(held, fstype, name) &&
		    sf_blockdevs_find_name(blockdevs, name, &device) &&
		    !sf_mounts_of_device(mounts, device))
			g_ptr_array_add(unknown, describe(fstype, name));
	}
}

static GHashTable *find_mounted_btrfs(SfMembersIndex *index, SfBlockdevs *blockdevs,
				      const SfMounts *mounts)
{
	GHashTable *uuids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, mounts->by_device);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const SfMount *mount = g_ptr_array_index((GPtrArray *)value, 0);
		const char *uuid = NULL;
		SfDevice device;

		if (!g_str_equal(mount->fstype, "btrfs"))
			continue;
		if (sf_blockdevs_find_path(blockdevs, mount->source, mounts, &device))
			uuid = sf_members_btrfs_uuid(index, device);
		if (uuid)
			g_hash_table_add(uuids, g_strdup(uuid));
	}
	return uuids;
}

static void find_btrfs(const SfPlanSource *source, SfBlockdevs *blockdevs, const SfMounts *mounts,
		       GPtrArray *unknown)
{
	g_autoptr(SfMembersIndex) index =
		sf_members_index_new(source->proc, source->sys, mounts, blockdevs);
	g_autoptr(GHashTable) mounted = find_mounted_btrfs(index, blockdevs, mounts);
	g_autofree char *folder = g_build_filename(source->sys, "fs/btrfs", NULL);
	g_autoptr(GPtrArray) names = sf_sysfs_list(folder);

	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *devices = g_build_filename(folder, name, "devices", NULL);

		/* "features" and "debug" stand beside the UUIDs. */
		if (g_file_test(devices, G_FILE_TEST_IS_DIR) &&
		    !g_hash_table_contains(mounted, name))
			g_ptr_array_add(unknown, g_strdup_printf("btrfs %s", name));
	}
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
	return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

GPtrArray *sf_superblocks_find_unknown(const SfPlanSource *source, const SfMounts *mounts,
				       GHashTable *held)
{
	static const char *const fstypes[] = {"ext4", "f2fs", "xfs"};
	GPtrArray *unknown = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(SfBlockdevs) blockdevs = sf_blockdevs_new(source->sys, source->dev);

	for (size_t i = 0; i < G_N_ELEMENTS(fstypes); i++)
		find_by_device(source, blockdevs, mounts, held, fstypes[i], unknown);
	find_btrfs(source, blockdevs, mounts, unknown);
	g_ptr_array_sort(unknown, compare_texts);
	return unknown;
}

GHashTable *sf_superblocks_find_held(const SfPlanSource *source, const SfPlan *plan)
{
	GHashTable *held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		g_autofree char *link = g_strdup_printf("%s/dev/block/%u:%u", source->sys,
							SF_DEVICE_MAJOR(target->device),
							SF_DEVICE_MINOR(target->device));
		g_autofree char *folder = g_file_read_link(link, NULL);
		g_autofree char *name = folder ? g_path_get_basename(folder) : NULL;

		if (name)
			g_hash_table_add(held, describe(target->fstype, name));
	}
	return held;
}
