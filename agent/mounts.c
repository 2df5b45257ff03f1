/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns one reading of a mount table. All text lies in one string chunk and all mounts in one array:
 * a container host's table has tens of thousands of lines, which must cost little and go back to
 * the kernel when they are freed. Called by plan, by guest information and by the session.
 */
#include "config.h"

#include <errno.h>
#include <libmount.h>
#include <malloc.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "agent/mounts.h"
#include "agent/visibility.h"
#include "protocol/error.h"

/* From this size on, freed memory is handed back at once instead of at the allocator's leisure. */
#define LARGE_TABLE 2000
#define CHUNK_SIZE (64 * 1024)
#define DELETED_SUFFIX " (deleted)"

/* A line that cannot be read may be a filesystem that would be left out: no plan without it. */
static int refuse_line(struct libmnt_table *table, const char *filename, int line)
{
	return -EINVAL;
}

static bool parse_table(struct libmnt_table *parsed, const char *path, GError **error)
{
	int rc;

	mnt_table_set_parser_errcb(parsed, refuse_line);
	rc = mnt_table_parse_file(parsed, path);
	if (rc == 0)
		return true;
	errno = rc < 0 ? -rc : EINVAL;
	return sf_throw_errno(error, "read the mount table '%s'", path);
}

/* Many mounts share their type, source and options: each is kept once. */
static char *keep(SfMounts *mounts, const char *text)
{
	return g_string_chunk_insert_const(mounts->strings, text ? text : "");
}

static bool has_option(const char *options, const char *name)
{
	char *value;
	size_t length;

	return options && mnt_optstr_get_option(options, name, &value, &length) == 0;
}

static void fill_mount(SfMounts *mounts, SfMount *mount, struct libmnt_fs *fs)
{
	const char *options = mnt_fs_get_fs_options(fs);
	dev_t number = mnt_fs_get_devno(fs);

	*mount = (SfMount){
		.id = mnt_fs_get_id(fs),
		.parent = mnt_fs_get_parent_id(fs),
		.device = SF_DEVICE(major(number), minor(number)),
		.subtree = keep(mounts, mnt_fs_get_root(fs)),
		.path = keep(mounts, mnt_fs_get_target(fs)),
		.fstype = keep(mounts, mnt_fs_get_fstype(fs)),
		.source = keep(mounts, mnt_fs_get_source(fs)),
		.super_options = keep(mounts, options),
		.superblock_read_only = has_option(options, "ro"),
	};
	mount->is_deleted = g_str_has_suffix(mount->path, DELETED_SUFFIX);
	mount->kind = sf_fskind(mount->fstype, major(number) != 0);
}

static void append_to(GHashTable *table, gpointer key, SfMount *mount)
{
	GPtrArray *list = g_hash_table_lookup(table, key);

	if (!list) {
		list = g_ptr_array_new();
		g_hash_table_insert(table, key, list);
	}
	g_ptr_array_add(list, mount);
}

static bool copy_table(SfMounts *mounts, struct libmnt_table *parsed, GError **error)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	guint n = 0;

	if (!iter)
		return sf_throw(error, "no memory for the mount table");
	mounts->table = g_new0(SfMount, mnt_table_get_nents(parsed) + 1);
	while (mnt_table_next_fs(parsed, iter, &fs) == 0)
		fill_mount(mounts, &mounts->table[n++], fs);
	mnt_free_iter(iter);

	sf_visibility_mark(mounts->table, n);
	for (guint i = 0; i < n; i++) {
		SfMount *mount = &mounts->table[i];

		g_ptr_array_add(mounts->mounts, mount);
		append_to(mounts->by_device, &mount->device, mount);
		append_to(mounts->by_path, mount->path, mount);
	}
	return true;
}

static SfMounts *mounts_new(void)
{
	SfMounts *mounts = g_new0(SfMounts, 1);
	GDestroyNotify free_list = (GDestroyNotify)g_ptr_array_unref;

	mounts->mounts = g_ptr_array_new();
	mounts->by_device = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_list);
	mounts->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_list);
	mounts->strings = g_string_chunk_new(CHUNK_SIZE);
	return mounts;
}

SfMounts *sf_mounts_read(const char *path, GError **error)
{
	g_autoptr(SfMounts) mounts = mounts_new();
	struct libmnt_table *parsed = mnt_new_table();
	bool done;

	if (!parsed) {
		sf_throw(error, "no memory for the mount table");
		return NULL;
	}
	done = parse_table(parsed, path, error) && copy_table(mounts, parsed, error);
	mnt_unref_table(parsed);
	return done ? g_steal_pointer(&mounts) : NULL;
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
	g_string_chunk_free(mounts->strings);
	g_free(mounts);
	if (is_large)
		malloc_trim(0);
}

const GPtrArray *sf_mounts_of_device(const SfMounts *mounts, SfDevice device)
{
	return g_hash_table_lookup(mounts->by_device, &device);
}

const GPtrArray *sf_mounts_at_path(const SfMounts *mounts, const char *path)
{
	return g_hash_table_lookup(mounts->by_path, path);
}

const SfMount *sf_mounts_topmost(const GPtrArray *stack)
{
	for (guint i = 0; stack && i < stack->len; i++) {
		const SfMount *mount = g_ptr_array_index(stack, i);

		if (mount->visible)
			return mount;
	}
	return stack && stack->len > 0 ? g_ptr_array_index(stack, stack->len - 1) : NULL;
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
		const GPtrArray *stack = sf_mounts_at_path(mounts, prefix);

		if (stack)
			return sf_mounts_topmost(stack);
	} while (sf_mounts_shorten(prefix));
	return NULL;
}
