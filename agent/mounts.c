/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns one reading of a mount table. All text lies in one string chunk and all mounts in one array:
 * a container host's table has tens of thousands of lines, which must cost little and go back to
 * the kernel when they are freed. Called by plan, by guest information and by the session.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/mounts.h"
#include "agent/namespaces.h"
#include "agent/table-text.h"
#include "agent/visibility.h"
#include "protocol/error.h"

/* From this size on, freed memory is handed back at once instead of at the allocator's leisure. */
#define LARGE_TABLE 2000
#define CHUNK_SIZE (64 * 1024)
/* How much of a table libmount is given at a time. It makes twenty blocks of a line, a kilobyte in
 * all, which the next piece uses again: memory never used before costs more than the parsing. */
#define PIECE_SIZE (64 * 1024)
#define DELETED_SUFFIX " (deleted)"

/* A line that cannot be read may be a filesystem that would be left out: no plan without it. */
static int refuse_line(struct libmnt_table *table, const char *filename, int line)
{
	return -EINVAL;
}

static bool parse_table(struct libmnt_table *parsed, FILE *stream, const char *name, GError **error)
{
	int rc;

	mnt_table_set_parser_errcb(parsed, refuse_line);
	rc = mnt_table_parse_stream(parsed, stream, name);
	if (rc == 0)
		return true;
	errno = rc < 0 ? -rc : EINVAL;
	return sf_throw_errno(error, "read the mount table '%s'", name);
}

static char *keep(SfMounts *mounts, const char *text)
{
	return g_string_chunk_insert(mounts->strings, text ? text : "");
}

/* Of tens of thousands of mounts most are of few superblocks: what is told of each again is the
 * same text. */
static char *share(SfMounts *mounts, const char *text, char *first)
{
	return first && g_strcmp0(text, first) == 0 ? first : keep(mounts, text);
}

static bool has_option(const char *options, const char *name)
{
	char *value;
	size_t length;

	return options && mnt_optstr_get_option(options, name, &value, &length) == 0;
}

/* @first: the first mount of the same superblock, or an empty one */
static void fill_superblock(SfMounts *mounts, SfMount *mount, struct libmnt_fs *fs,
			    const SfMount *first)
{
	mount->fstype = share(mounts, mnt_fs_get_fstype(fs), first->fstype);
	mount->source = share(mounts, mnt_fs_get_source(fs), first->source);
	mount->super_options = share(mounts, mnt_fs_get_fs_options(fs), first->super_options);
	mount->kind = first->kind;
	if (mount->fstype != first->fstype)
		mount->kind = sf_fskind(mount->fstype, SF_DEVICE_MAJOR(mount->device) != 0);
	mount->superblock_read_only = first->superblock_read_only;
	if (mount->super_options != first->super_options)
		mount->superblock_read_only = has_option(mount->super_options, "ro");
}

void sf_mounts_append(SfMounts *mounts, SfMount *mount)
{
	GPtrArray *superblock = g_hash_table_lookup(mounts->by_device, &mount->device);

	if (!superblock) {
		superblock = g_ptr_array_new();
		g_hash_table_insert(mounts->by_device, &mount->device, superblock);
	}
	g_ptr_array_add(superblock, mount);
	g_ptr_array_add(mounts->mounts, mount);
}

static void add_mount(SfMounts *mounts, SfMount *mount, struct libmnt_fs *fs)
{
	static const SfMount none;
	dev_t number = mnt_fs_get_devno(fs);
	GPtrArray *superblock;

	mount->id = mnt_fs_get_id(fs);
	mount->parent = mnt_fs_get_parent_id(fs);
	mount->device = SF_DEVICE(major(number), minor(number));
	mount->subtree = keep(mounts, mnt_fs_get_root(fs));
	mount->path = keep(mounts, mnt_fs_get_target(fs));
	mount->is_deleted = g_str_has_suffix(mount->path, DELETED_SUFFIX);

	superblock = g_hash_table_lookup(mounts->by_device, &mount->device);
	fill_superblock(mounts, mount, fs, superblock ? superblock->pdata[0] : &none);
	sf_mounts_append(mounts, mount);
}

/* A chain and no list: nearly all paths have one mount, and there may be very many. */
static void add_to_path(SfMounts *mounts, SfMount *mount)
{
	mount->same_path = g_hash_table_lookup(mounts->by_path, mount->path);
	g_hash_table_replace(mounts->by_path, mount->path, mount);
}

static bool copy_table(SfMounts *mounts, struct libmnt_table *parsed, const char *name,
		       GError **error)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	bool is_right = true;
	SfMount *block;
	struct libmnt_fs *fs;

	if (!iter)
		return sf_throw(error, "no memory for the mount table");
	block = g_new0(SfMount, mnt_table_get_nents(parsed) + 1);
	g_ptr_array_add(mounts->blocks, block);
	while (is_right && mnt_table_next_fs(parsed, iter, &fs) == 0) {
		/* By its first line libmount judges what kind of file it is. */
		is_right = mnt_fs_is_kernel(fs);
		add_mount(mounts, block++, fs);
	}
	mnt_free_iter(iter);
	return is_right || sf_throw(error, "the mount table '%s' is damaged", name);
}

/* @lines: whole ones */
static bool add_lines(SfMounts *mounts, char *lines, size_t length, const char *name,
		      GError **error)
{
	FILE *stream = fmemopen(lines, length, "r");
	struct libmnt_table *parsed;
	bool done;

	if (!stream)
		return sf_throw_errno(error, "read the mount table '%s'", name);
	parsed = mnt_new_table();
	if (!parsed)
		done = sf_throw(error, "no memory for the mount table");
	else
		done = parse_table(parsed, stream, name, error) &&
		       copy_table(mounts, parsed, name, error);
	mnt_unref_table(parsed);
	fclose(stream);
	return done;
}

static SfMounts *mounts_new(void)
{
	SfMounts *mounts = g_new0(SfMounts, 1);
	GDestroyNotify free_list = (GDestroyNotify)g_ptr_array_unref;

	mounts->mounts = g_ptr_array_new();
	mounts->by_device = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_list);
	mounts->by_path = g_hash_table_new(g_str_hash, g_str_equal);
	mounts->blocks = g_ptr_array_new_with_free_func(g_free);
	mounts->strings = g_string_chunk_new(CHUNK_SIZE);
	return mounts;
}

static void finish_reading(SfMounts *mounts)
{
	sf_visibility_mark(mounts->mounts);
	for (guint i = 0; i < mounts->mounts->len; i++)
		add_to_path(mounts, g_ptr_array_index(mounts->mounts, i));
}

/* The length of as many whole lines as fit in a piece; of one, where that is longer. */
static size_t measure_piece(const char *text, size_t length)
{
	const char *end = memrchr(text, '\n', MIN(length, PIECE_SIZE));

	if (length <= PIECE_SIZE)
		return length;
	if (!end)
		end = memchr(text, '\n', length);
	return end ? (size_t)(end + 1 - text) : length;
}

SfMounts *sf_mounts_parse(char *text, size_t length, const char *name, GError **error)
{
	g_autoptr(SfMounts) mounts = mounts_new();

	while (length > 0) {
		size_t piece = measure_piece(text, length);

		if (!add_lines(mounts, text, piece, name, error))
			return NULL;
		text += piece;
		length -= piece;
	}
	finish_reading(mounts);
	return g_steal_pointer(&mounts);
}

SfMounts *sf_mounts_read(const char *path, GError **error)
{
	g_autoptr(GByteArray) text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		text = sf_table_text_read_own(fd);
	if (!text)
		sf_throw_errno(error, "read the mount table '%s'", path);
	if (fd >= 0)
		close(fd);
	return text ? sf_mounts_parse((char *)text->data, text->len, path, error) : NULL;
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
	sf_namespaces_free(mounts->others);
	g_ptr_array_unref(mounts->blocks);
	g_string_chunk_free(mounts->strings);
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

bool sf_mounts_may_hang(const SfMounts *mounts, const char *path)
{
	g_autofree char *prefix = g_strdup(path);

	do {
		const SfMount *mount = sf_mounts_at_path(mounts, prefix);

		for (; mount; mount = mount->same_path)
			if (sf_fskind_is_remote(mount->kind) || mount->is_behind_remote)
				return true;
	} while (sf_mounts_shorten(prefix));
	return false;
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
