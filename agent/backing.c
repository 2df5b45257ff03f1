/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the way from a block device down to the filesystems that its backing files lie on: through
 * partitions, dm, md, bcache and loop devices, each device once. Invariant: what could not be
 * followed to its end has is_hidden set. Called by plan.
 */
#include "config.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/backing.h"
#include "agent/namespaces.h"

/* dm on md on partitions on loop … and overlay on overlay: deeper ones count as hidden. */
#define MAX_DEPTH 32
#define MAX_OVERLAYS 8
#define DELETED_SUFFIX " (deleted)"

struct SfBackings {
	const char *dev;
	const SfMounts *mounts;
	SfBlockdevs *blockdevs;
	GHashTable *known; /* SfDevice* -> SfBacking */
};

static void add_file(SfBackings *backings, SfBacking *backing, const char *path, int overlays);

static void backing_free(gpointer data)
{
	SfBacking *backing = data;

	g_array_unref(backing->holders);
	g_free(backing);
}

SfBackings *sf_backings_new(const char *dev, const SfMounts *mounts, SfBlockdevs *blockdevs)
{
	SfBackings *backings = g_new0(SfBackings, 1);

	backings->dev = dev;
	backings->mounts = mounts;
	backings->blockdevs = blockdevs;
	backings->known = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, backing_free);
	return backings;
}

void sf_backings_free(SfBackings *backings)
{
	g_hash_table_unref(backings->known);
	g_free(backings);
}

static void add_holder(SfBacking *backing, SfDevice device)
{
	for (guint i = 0; i < backing->holders->len; i++)
		if (g_array_index(backing->holders, SfDevice, i) == device)
			return;
	g_array_append_val(backing->holders, device);
}

/* What is written to an overlay goes to the filesystem of its upper folder. */
static void add_overlay(SfBackings *backings, SfBacking *backing, const SfMount *mount,
			int overlays)
{
	g_auto(GStrv) options = g_strsplit(mount->super_options, ",", -1);

	for (char **option = options; *option; option++) {
		const char *upper = *option + strlen("upperdir=");

		if (!g_str_has_prefix(*option, "upperdir="))
			continue;
		if (*upper == '/' && overlays < MAX_OVERLAYS)
			add_file(backings, backing, upper, overlays + 1);
		else
			backing->is_hidden = true;
		return;
	}
	backing->is_hidden = true;
}

static void add_mount(SfBackings *backings, SfBacking *backing, const SfMount *mount, int overlays)
{
	/* A filesystem that a process or another machine serves may end on a disk of this one. */
	if (mount->kind == SF_FSKIND_MEMORY)
		return;
	if (mount->superblock_read_only && !sf_fskind_is_remote(mount->kind))
		return;
	if (mount->kind == SF_FSKIND_LOCAL)
		add_holder(backing, mount->device);
	else if (mount->kind == SF_FSKIND_OVERLAY)
		add_overlay(backings, backing, mount, overlays);
	else
		backing->is_hidden = true;
}

static bool lies_on(SfBackings *backings, SfDevice device, SfDevice sought, int depth)
{
	const GArray *below;

	if (device == sought)
		return true;
	if (SF_DEVICE_MAJOR(device) == 0 || depth > MAX_DEPTH)
		return false;
	below = sf_blockdevs_get(backings->blockdevs, device)->below;
	for (guint i = 0; i < below->len; i++)
		if (lies_on(backings, g_array_index(below, SfDevice, i), sought, depth + 1))
			return true;
	return false;
}

/* By its path alone: every filesystem mounted at the longest prefix may be the one. A device may be
 * mounted over the very folder that holds its file: then the file lies on what is below. */
static void add_file(SfBackings *backings, SfBacking *backing, const char *path, int overlays)
{
	g_autofree char *prefix = g_strdup(path);
	bool is_found = false;

	do {
		const SfMount *mount = sf_mounts_at_path(backings->mounts, prefix);

		for (; mount; mount = mount->same_path) {
			if (lies_on(backings, mount->device, backing->device, 0))
				continue;
			add_mount(backings, backing, mount, overlays);
			is_found = true;
		}
	} while (!is_found && sf_mounts_shorten(prefix));
	if (!is_found)
		backing->is_hidden = true;
}

/* The kernel asks the file's filesystem for its number, which is the same as looking there. The
 * path may be that of any namespace. */
static bool is_safe_to_ask(SfBackings *backings, const char *path)
{
	return !sf_mounts_may_hang(backings->mounts, path) &&
	       !sf_namespaces_may_hang(backings->mounts, path);
}

/* -1 where the node is not that device: what else it is must not be opened. */
static int open_loop(SfBackings *backings, const SfBlockdev *loop)
{
	g_autofree char *path = g_build_filename(backings->dev, loop->name, NULL);
	g_autofree char *self = NULL;
	struct stat info;
	int fd = -1;
	int node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (node < 0)
		return -1;
	self = g_strdup_printf("/proc/self/fd/%d", node);
	if (fstat(node, &info) == 0 && S_ISBLK(info.st_mode) &&
	    SF_DEVICE(major(info.st_rdev), minor(info.st_rdev)) == loop->device)
		fd = open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	close(node);
	return fd;
}

/* Better than the path: it is right after a rename, and for mounts that hide others. */
static bool add_loop_by_number(SfBackings *backings, SfBacking *backing, const SfBlockdev *loop)
{
	struct loop_info64 info = {0};
	const GPtrArray *holders = NULL;
	int fd = open_loop(backings, loop);

	if (fd < 0)
		return false;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
		holders = sf_mounts_of_device(backings->mounts, SF_DEVICE(major(info.lo_device),
									  minor(info.lo_device)));
	close(fd);
	if (!holders)
		return false;
	add_mount(backings, backing, g_ptr_array_index(holders, 0), 0);
	return true;
}

static void add_loop(SfBackings *backings, SfBacking *backing, const SfBlockdev *loop)
{
	g_autofree char *path = g_strdup(loop->backing_file);

	if (g_str_has_suffix(path, DELETED_SUFFIX))
		path[strlen(path) - strlen(DELETED_SUFFIX)] = '\0';
	if (is_safe_to_ask(backings, path) && add_loop_by_number(backings, backing, loop))
		return;
	/* A path alone does not tell in which namespace it is one. */
	if (*path != '/' || sf_namespaces_hold_anonymous(backings->mounts))
		backing->is_hidden = true;
	if (*path == '/')
		add_file(backings, backing, path, 0);
}

static SfBacking *find(SfBackings *backings, SfDevice device, int depth)
{
	SfBacking *backing = g_hash_table_lookup(backings->known, &device);
	const SfBlockdev *blockdev;

	if (backing)
		return backing;
	backing = g_new0(SfBacking, 1);
	backing->device = device;
	backing->holders = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	backing->in_work = true;
	g_hash_table_insert(backings->known, &backing->device, backing);

	blockdev = sf_blockdevs_get(backings->blockdevs, device);
	backing->is_hidden = blockdev->backing_hidden || depth > MAX_DEPTH;
	if (blockdev->backing_file)
		add_loop(backings, backing, blockdev);
	for (guint i = 0; i < blockdev->below->len && depth <= MAX_DEPTH; i++) {
		const SfBacking *below =
			find(backings, g_array_index(blockdev->below, SfDevice, i), depth + 1);

		/* In work: it lies on itself, which only a damaged reading can say. */
		backing->is_hidden |= below->is_hidden || below->in_work;
		for (guint j = 0; j < below->holders->len; j++)
			add_holder(backing, g_array_index(below->holders, SfDevice, j));
	}
	backing->in_work = false;
	return backing;
}

const SfBacking *sf_backings_get(SfBackings *backings, SfDevice device)
{
	return find(backings, device, 0);
}
