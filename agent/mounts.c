/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns one reading of a mount table. All text lies in one block and all mounts in one array:
 * a container host's table has tens of thousands of lines, which must cost little and go back to
 * the kernel when they are freed. Called by plan, by guest information and by the session.
 */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "agent/mountinfo.h"
#include "agent/mounts.h"
#include "agent/visibility.h"
#include "protocol/error.h"

/* From this size on, freed memory is handed back at once instead of at the allocator's leisure. */
#define LARGE_TABLE 2000
#define DELETED_SUFFIX " (deleted)"

static bool parse_error(const char *path, GError **error)
{
	errno = EINVAL;
	return sf_throw_errno(error, "read the mount table '%s'", path);
}

/* @first: the first mount of the same superblock, or an empty one. Of tens of thousands of mounts
 * most are of few superblocks: what is told of each again is mostly the same. */
static void fill_superblock(SfMount *mount, const SfMountLine *line, const SfMount *first)
{
	mount->fstype = line->fstype;
	mount->source = line->source;
	mount->super_options = line->super_options;
	mount->kind = first->kind;
	if (g_strcmp0(mount->fstype, first->fstype) != 0)
		mount->kind = sf_fskind(mount->fstype, SF_DEVICE_MAJOR(mount->device) != 0);
	mount->superblock_read_only = first->superblock_read_only;
	if (g_strcmp0(mount->super_options, first->super_options) != 0)
		mount->superblock_read_only = sf_mountinfo_has_option(mount->super_options, "ro");
}

static void add_mount(SfMounts *mounts, SfMount *mount, const SfMountLine *line)
{
	static const SfMount none;
	GPtrArray *superblock;

	mount->id = line->id;
	mount->parent = line->parent;
	mount->device = SF_DEVICE(line->major, line->minor);
	mount->subtree = line->root;
	mount->path = line->target;
	mount->is_deleted = g_str_has_suffix(mount->path, DELETED_SUFFIX);

	superblock = g_hash_table_lookup(mounts->by_device, &mount->device);
	fill_superblock(mount, line, superblock ? superblock->pdata[0] : &none);
	if (!superblock) {
		superblock = g_ptr_array_new();
		g_hash_table_insert(mounts->by_device, &mount->device, superblock);
	}
	g_ptr_array_add(superblock, mount);
	g_ptr_array_add(mounts->mounts, mount);
}

/* A chain and no list: nearly all paths have one mount, and there may be very many. */
static void add_to_path(SfMounts *mounts, SfMount *mount)
{
	mount->same_path = g_hash_table_lookup(mounts->by_path, mount->path);
	g_hash_table_replace(mounts->by_path, mount->path, mount);
}

/* A line that cannot be read may be a filesystem that would be left out: no plan without it. */
static bool parse_table(SfMounts *mounts, const char *path, GError **error)
{
	char *at = mounts->text;
	SfMountLine line;
	guint n = 0;

	mounts->table = g_new0(SfMount, sf_mountinfo_count(mounts->text) + 1);
	while (*at) {
		if (!sf_mountinfo_next(&at, &line))
			return parse_error(path, error);
		add_mount(mounts, &mounts->table[n++], &line);
	}
	sf_visibility_mark(mounts->table, n);
	for (guint i = 0; i < n; i++)
		add_to_path(mounts, &mounts->table[i]);
	return true;
}

static SfMounts *mounts_new(void)
{
	SfMounts *mounts = g_new0(SfMounts, 1);
	GDestroyNotify free_list = (GDestroyNotify)g_ptr_array_unref;

	mounts->mounts = g_ptr_array_new();
	mounts->by_device = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_list);
	mounts->by_path = g_hash_table_new(g_str_hash, g_str_equal);
	return mounts;
}

SfMounts *sf_mounts_read(const char *path, GError **error)
{
	g_autoptr(SfMounts) mounts = mounts_new();

	mounts->text = sf_mountinfo_read(path);
	if (!mounts->text) {
		sf_throw_errno(error, "read the mount table '%s'", path);
		return NULL;
	}
	return parse_table(mounts, path, error) ? g_steal_pointer(&mounts) : NULL;
}

void sf_mounts_free(SfMounts *mounts)
{
	bool is_large;

	if (!mounts)
		return;
	is_large = mounts->mounts->len > LARGE_TABLE;
	g_hash_table_unref(mounts->by_device);
	g_hash_table_unref(mounts->by_path);
	g_ptr_array_unref(mounts->mounts);
	g_free(mounts->table);
	g_free(mounts->text);
	g_free(mounts);
	if (is_large)
		malloc_trim(0);
}

const GPtrArray *sf_mounts_of_device(const SfMounts *mounts, SfDevice device)
{
	return g_hash_table_lookup(mounts->by_device, &device);
}

const SfMount *sf_mounts_at_path(const SfMounts *mounts, const char *path)
{
	return g_hash_table_lookup(mounts->by_path, path);
}

const SfMount *sf_mounts_topmost(const SfMount *last)
{
	for (const SfMount *mount = last; mount; mount = mount->same_path)
		if (mount->visible)
			return mount;
	return last;
}

bool sf_mounts_shorten(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || g_str_equal(path, "/"))
		return false;
	slash[slash == path ? 1 : 0] = '\0';
	return true;
}

const SfMount *sf_mounts_find_holder(const SfMounts *mounts, const char *path)
{
	g_autofree char *prefix = g_strdup(path);

	do {
		const SfMount *last = sf_mounts_at_path(mounts, prefix);

		if (last)
			return sf_mounts_topmost(last);
	} while (sf_mounts_shorten(prefix));
	return NULL;
}
