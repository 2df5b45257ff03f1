/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the choice of those mounts that commands about disks go by. Holds no state. Called by fsinfo
 * and fstrim. */
#include "config.h"

#include "agent/disk-mounts.h"

/* Some lie on several devices: then their number is no device's. */
static bool has_disk(const SfMount *mount)
{
	if (mount->kind == SF_FSKIND_NETWORK || mount->kind == SF_FSKIND_PSEUDO)
		return false;
	return SF_DEVICE_MAJOR(mount->device) != 0 || mount->kind == SF_FSKIND_LOCAL;
}

GPtrArray *sf_disk_mounts_new(const SfMounts *mounts)
{
	GPtrArray *chosen = g_ptr_array_new();

	for (guint i = 0; i < mounts->mounts->len; i++) {
		SfMount *mount = g_ptr_array_index(mounts->mounts, i);
		const GPtrArray *all;

		if (!has_disk(mount))
			continue;
		all = sf_mounts_of_device(mounts, mount->device);
		if (g_ptr_array_index(all, 0) == mount)
			g_ptr_array_add(chosen, mount);
	}
	return chosen;
}

const char *sf_disk_mounts_path(const SfMounts *mounts, const SfMount *mount)
{
	const GPtrArray *all = sf_mounts_of_device(mounts, mount->device);
	const char *second_best = NULL;

	for (guint i = 0; i < all->len; i++) {
		const SfMount *way = g_ptr_array_index(all, i);

		if (!way->visible || way->is_deleted)
			continue;
		if (!way->is_behind_remote && !way->is_behind_autofs)
			return way->path;
		second_best = way->path;
	}
	return second_best;
}
