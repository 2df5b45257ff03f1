/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what guest-get-fsinfo's answer takes from the mount table: which mounts it tells of, in
 * which words, and where their superblocks are asked how full they are. Invariant: nothing in it
 * depends on anything but the table. Called by fsinfo; kept by fsinfo-cache.
 */
#include "config.h"

#include "agent/commands/fsinfo-table.h"
#include "agent/disk-mounts.h"
#include "protocol/message.h"

/* Device -> its superblock's index and 1: there is a number for "none". */
static GHashTable *index_superblocks(const SfFsinfoTable *table)
{
	GHashTable *indices = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = 0; i < table->superblocks->len; i++) {
		SfMount *first = g_ptr_array_index(table->superblocks, i);

		g_hash_table_insert(indices, &first->device, GUINT_TO_POINTER(i + 1));
	}
	return indices;
}

static void add_entries(SfFsinfoTable *table)
{
	g_autoptr(GHashTable) indices = index_superblocks(table);
	const GPtrArray *mounts = table->mounts->mounts;

	for (guint i = 0; i < mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(mounts, i);
		guint index = GPOINTER_TO_UINT(g_hash_table_lookup(indices, &mount->device));
		SfFsinfoEntry entry;

		if (index == 0)
			continue;
		sf_json_write_string(table->text, mount->path);
		entry = (SfFsinfoEntry){.superblock = index - 1, .end = table->text->len};
		g_array_append_val(table->entries, entry);
	}
}

SfFsinfoTable *sf_fsinfo_table_new(SfMounts *mounts)
{
	SfFsinfoTable *table = g_rc_box_new0(SfFsinfoTable);

	table->mounts = mounts;
	table->superblocks = sf_disk_mounts_new(mounts);
	table->paths = g_ptr_array_new();
	for (guint i = 0; i < table->superblocks->len; i++) {
		const SfMount *first = g_ptr_array_index(table->superblocks, i);

		g_ptr_array_add(table->paths, (gpointer)sf_disk_mounts_path(mounts, first));
	}
	table->entries = g_array_new(FALSE, FALSE, sizeof(SfFsinfoEntry));
	table->text = g_string_new(NULL);
	add_entries(table);
	return table;
}

SfFsinfoTable *sf_fsinfo_table_ref(SfFsinfoTable *table)
{
	return g_rc_box_acquire(table);
}

static void table_clear(gpointer data)
{
	SfFsinfoTable *table = data;

	g_string_free(table->text, TRUE);
	g_array_unref(table->entries);
	g_ptr_array_unref(table->paths);
	g_ptr_array_unref(table->superblocks);
	sf_mounts_free(table->mounts);
}

void sf_fsinfo_table_unref(SfFsinfoTable *table)
{
	g_rc_box_release_full(table, table_clear);
}
