/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What guest-get-fsinfo answers: an entry for each mount of a filesystem on a disk. Everything but
 * the mount point is the same for all mounts of a superblock, so it is found and written once for
 * each of these: a machine may have ten thousand mounts of three filesystems.
 */
#include "config.h"

#include "agent/commands/fsinfo.h"
#include "agent/disk-mounts.h"
#include "agent/disk-places.h"
#include "protocol/message.h"

typedef struct {
	char *head;       /* an entry's text before its mount point */
	JsonObject *rest; /* what follows the mount point */
} Superblock;

struct SfFsinfo {
	SfMounts *mounts;
	GPtrArray *superblocks; /* of Superblock */
	GHashTable *by_device;  /* SfDevice* -> Superblock */
	GPtrArray *paths;       /* of char* or NULL, one for each superblock */
};

static void superblock_free(gpointer data)
{
	Superblock *superblock = data;

	g_free(superblock->head);
	json_object_unref(superblock->rest);
	g_free(superblock);
}

static void write_value(GString *out, const char *string)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_VALUE);

	json_node_set_string(node, string);
	sf_json_write(out, node);
}

static Superblock *superblock_new(SfDiskPlaces *places, const SfMount *mount)
{
	Superblock *superblock = g_new0(Superblock, 1);
	g_autofree char *name = sf_disk_places_name(places, mount);
	GString *head = g_string_new("{\"name\": ");

	write_value(head, name);
	g_string_append(head, ", \"mountpoint\": ");
	superblock->head = g_string_free(head, FALSE);
	superblock->rest = json_object_new();
	json_object_set_string_member(superblock->rest, "type", mount->fstype);
	json_object_set_array_member(superblock->rest, "disk", sf_disk_places_find(places, mount));
	return superblock;
}

static void add_superblocks(SfFsinfo *info, SfDiskPlaces *places)
{
	g_autoptr(GPtrArray) mounts = sf_disk_mounts_new(info->mounts);

	for (guint i = 0; i < mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(mounts, i);
		Superblock *superblock = superblock_new(places, mount);

		g_ptr_array_add(info->superblocks, superblock);
		g_hash_table_insert(info->by_device, (gpointer)&mount->device, superblock);
		g_ptr_array_add(info->paths, (gpointer)sf_disk_mounts_path(info->mounts, mount));
	}
}

SfFsinfo *sf_fsinfo_new(const SfPlanSource *source, const char *udev, GError **error)
{
	SfMounts *mounts = sf_mounts_read(source->mountinfo, error);
	SfFsinfo *info;

	if (!mounts)
		return NULL;
	info = g_new0(SfFsinfo, 1);
	info->mounts = mounts;
	info->superblocks = g_ptr_array_new_with_free_func(superblock_free);
	info->by_device = g_hash_table_new(g_int64_hash, g_int64_equal);
	info->paths = g_ptr_array_new();
	g_autoptr(SfDiskPlaces) places = sf_disk_places_new(source, udev, mounts);
	add_superblocks(info, places);
	return info;
}

void sf_fsinfo_free(SfFsinfo *info)
{
	if (!info)
		return;
	g_ptr_array_unref(info->paths);
	g_hash_table_unref(info->by_device);
	g_ptr_array_unref(info->superblocks);
	sf_mounts_free(info->mounts);
	g_free(info);
}

const GPtrArray *sf_fsinfo_paths(const SfFsinfo *info)
{
	return info->paths;
}

void sf_fsinfo_set_space(SfFsinfo *info, guint superblock, const SfFsinfoSpace *space)
{
	JsonObject *rest = ((Superblock *)g_ptr_array_index(info->superblocks, superblock))->rest;

	json_object_set_int_member(rest, "used-bytes", (gint64)space->used);
	json_object_set_int_member(rest, "total-bytes", (gint64)space->total);
	json_object_set_int_member(rest, "total-bytes-privileged", (gint64)space->total_privileged);
}

/* Superblock -> the text that ends each of its entries. */
static GHashTable *write_rests(const SfFsinfo *info)
{
	GHashTable *rests = g_hash_table_new_full(NULL, NULL, NULL, g_free);

	for (guint i = 0; i < info->superblocks->len; i++) {
		Superblock *superblock = g_ptr_array_index(info->superblocks, i);
		g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
		GString *text = g_string_new(NULL);

		json_node_set_object(node, superblock->rest);
		sf_json_write(text, node);
		/* Its own brace was opened by the head. */
		text->str[0] = ' ';
		g_string_prepend_c(text, ',');
		g_hash_table_insert(rests, superblock, g_string_free(text, FALSE));
	}
	return rests;
}

char *sf_fsinfo_write(const SfFsinfo *info)
{
	g_autoptr(GHashTable) rests = write_rests(info);
	GString *out = g_string_new("[");

	for (guint i = 0; i < info->mounts->mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(info->mounts->mounts, i);
		const Superblock *superblock = g_hash_table_lookup(info->by_device, &mount->device);

		if (!superblock)
			continue;
		g_string_append(out, out->len > 1 ? ", " : "");
		g_string_append(out, superblock->head);
		write_value(out, mount->path);
		g_string_append(out, g_hash_table_lookup(rests, superblock));
	}
	g_string_append_c(out, ']');
	return g_string_free(out, FALSE);
}
