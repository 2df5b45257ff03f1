/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What guest-get-fsinfo answers: an entry for each mount of a filesystem on a disk. Everything but
 * the mount point is the same for all mounts of a superblock, so it is found and written once for
 * each of these: a machine may have ten thousand mounts of three filesystems. Where they lie is
 * found for each answer: a disk may be replaced below a filesystem that stays mounted.
 */
#include "config.h"

#include "agent/commands/fsinfo.h"
#include "agent/disk-places.h"
#include "protocol/message.h"

typedef struct {
	GString *head; /* an entry's text before its mount point */
	GString *tail; /* and behind it, while the answer is written */
	JsonObject *rest;
} Superblock;

struct SfFsinfo {
	SfFsinfoTable *table;
	GPtrArray *superblocks; /* of Superblock, as in the table */
};

static void superblock_free(gpointer data)
{
	Superblock *superblock = data;

	g_string_free(superblock->head, TRUE);
	g_string_free(superblock->tail, TRUE);
	json_object_unref(superblock->rest);
	g_free(superblock);
}

static Superblock *superblock_new(SfDiskPlaces *places, const SfMount *mount)
{
	Superblock *superblock = g_new0(Superblock, 1);
	g_autofree char *name = sf_disk_places_name(places, mount);

	superblock->head = g_string_new("{\"name\": ");
	sf_json_write_string(superblock->head, name);
	g_string_append(superblock->head, ", \"mountpoint\": ");
	superblock->tail = g_string_new(NULL);
	superblock->rest = json_object_new();
	json_object_set_string_member(superblock->rest, "type", mount->fstype);
	json_object_set_array_member(superblock->rest, "disk", sf_disk_places_find(places, mount));
	return superblock;
}

SfFsinfo *sf_fsinfo_new(SfFsinfoTable *table, const SfPlanSource *source, const char *udev)
{
	SfFsinfo *info = g_new0(SfFsinfo, 1);
	g_autoptr(SfDiskPlaces) places = sf_disk_places_new(source, udev, table->mounts);

	info->table = sf_fsinfo_table_ref(table);
	info->superblocks = g_ptr_array_new_with_free_func(superblock_free);
	for (guint i = 0; i < table->superblocks->len; i++) {
		const SfMount *mount = g_ptr_array_index(table->superblocks, i);

		g_ptr_array_add(info->superblocks, superblock_new(places, mount));
	}
	return info;
}

void sf_fsinfo_free(SfFsinfo *info)
{
	if (!info)
		return;
	g_ptr_array_unref(info->superblocks);
	sf_fsinfo_table_unref(info->table);
	g_free(info);
}

const GPtrArray *sf_fsinfo_paths(const SfFsinfo *info)
{
	return info->table->paths;
}

void sf_fsinfo_set_space(SfFsinfo *info, guint superblock, const SfFsinfoSpace *space)
{
	JsonObject *rest = ((Superblock *)g_ptr_array_index(info->superblocks, superblock))->rest;

	json_object_set_int_member(rest, "used-bytes", (gint64)space->used);
	json_object_set_int_member(rest, "total-bytes", (gint64)space->total);
	json_object_set_int_member(rest, "total-bytes-privileged", (gint64)space->total_privileged);
}

static void write_tail(Superblock *superblock)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

	json_node_set_object(node, superblock->rest);
	g_string_assign(superblock->tail, ",");
	sf_json_write(superblock->tail, node);
	/* Its own brace was opened by the head. */
	superblock->tail->str[1] = ' ';
}

static void append(GString *out, const GString *text)
{
	g_string_append_len(out, text->str, (gssize)text->len);
}

char *sf_fsinfo_write(const SfFsinfo *info)
{
	const SfFsinfoTable *table = info->table;
	GString *out = g_string_new("[");
	guint begin = 0;

	for (guint i = 0; i < info->superblocks->len; i++)
		write_tail(g_ptr_array_index(info->superblocks, i));
	for (guint i = 0; i < table->entries->len; i++) {
		const SfFsinfoEntry *entry = &g_array_index(table->entries, SfFsinfoEntry, i);
		const Superblock *superblock =
			g_ptr_array_index(info->superblocks, entry->superblock);

		if (i > 0)
			g_string_append_len(out, ", ", 2);
		append(out, superblock->head);
		g_string_append_len(out, table->text->str + begin, entry->end - begin);
		append(out, superblock->tail);
		begin = entry->end;
	}
	g_string_append_c(out, ']');
	return g_string_free(out, FALSE);
}
