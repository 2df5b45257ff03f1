/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the way from a superblock down to the disks of this machine. Invariant: each disk's address
 * is read from sysfs at most once, however many filesystems lie on it. Called by fsinfo.
 */
#include "config.h"

#include <string.h>

#include "agent/backing.h"
#include "agent/blockdev.h"
#include "agent/disk-address.h"
#include "agent/disk-places.h"
#include "agent/members.h"

/* dm on md on loop …: what lies deeper is not followed. */
#define MAX_DEPTH 32

struct SfDiskPlaces {
	const char *sys, *udev;
	const SfMounts *mounts;
	SfBlockdevs *blockdevs;
	SfBackings *backings;
	SfMembersIndex *index;
	GHashTable *addresses; /* SfDevice* -> JsonObject or NULL */
};

/* One question: what was added, and what was looked at. */
typedef struct {
	SfDiskPlaces *places;
	GPtrArray *found;                  /* of JsonObject */
	GHashTable *devices, *superblocks; /* sets of SfDevice */
} Search;

static void object_unref(gpointer object)
{
	if (object)
		json_object_unref(object);
}

SfDiskPlaces *sf_disk_places_new(const SfPlanSource *source, const char *udev,
				 const SfMounts *mounts)
{
	SfDiskPlaces *places = g_new0(SfDiskPlaces, 1);

	places->sys = source->sys;
	places->udev = udev;
	places->mounts = mounts;
	places->blockdevs = sf_blockdevs_new(source->sys, source->dev);
	places->backings = sf_backings_new(source->dev, mounts, places->blockdevs);
	places->index = sf_members_index_new(source->proc, source->sys, mounts, places->blockdevs);
	places->addresses =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, object_unref);
	return places;
}

void sf_disk_places_free(SfDiskPlaces *places)
{
	g_hash_table_unref(places->addresses);
	sf_members_index_free(places->index);
	sf_backings_free(places->backings);
	sf_blockdevs_free(places->blockdevs);
	g_free(places);
}

static gpointer copy_device(SfDevice device)
{
	SfDevice *copy = g_new(SfDevice, 1);

	*copy = device;
	return copy;
}

/* Whether it was not in the set. */
static bool add_to_set(GHashTable *set, SfDevice device)
{
	if (g_hash_table_contains(set, &device))
		return false;
	return g_hash_table_add(set, copy_device(device));
}

static JsonObject *find_address(SfDiskPlaces *places, SfDevice device)
{
	const SfBlockdev *blockdev;
	gpointer address;

	if (g_hash_table_lookup_extended(places->addresses, &device, NULL, &address))
		return address;
	blockdev = sf_blockdevs_get(places->blockdevs, device);
	address = blockdev->name ? sf_disk_address_new(places->sys, places->udev, blockdev->name)
				 : NULL;
	g_hash_table_insert(places->addresses, copy_device(device), address);
	return address;
}

/* A partition has an address of its own, with its own node. */
static void add_disks(Search *search, SfDevice device, int depth)
{
	const GArray *below;
	JsonObject *address;

	if (depth > MAX_DEPTH || !add_to_set(search->devices, device))
		return;
	address = find_address(search->places, device);
	if (address) {
		g_ptr_array_add(search->found, address);
		return;
	}
	below = sf_blockdevs_get(search->places->blockdevs, device)->below;
	for (guint i = 0; i < below->len; i++)
		add_disks(search, g_array_index(below, SfDevice, i), depth + 1);
}

static void add_superblock(Search *search, const SfMount *mount, int depth);

/* The filesystems that loop devices below have their files on. */
static void add_holders(Search *search, SfDevice device, int depth)
{
	const SfBacking *backing = sf_backings_get(search->places->backings, device);

	for (guint i = 0; i < backing->holders->len; i++) {
		const GPtrArray *mounts =
			sf_mounts_of_device(search->places->mounts,
					    g_array_index(backing->holders, SfDevice, i));

		if (mounts)
			add_superblock(search, g_ptr_array_index(mounts, 0), depth + 1);
	}
}

static void add_superblock(Search *search, const SfMount *mount, int depth)
{
	g_autoptr(SfMembers) members = NULL;

	if (depth > MAX_DEPTH || !add_to_set(search->superblocks, mount->device))
		return;
	members = sf_members_find(search->places->index, mount);
	for (guint i = 0; i < members->devices->len; i++) {
		SfDevice device = g_array_index(members->devices, SfDevice, i);

		add_disks(search, device, depth);
		add_holders(search, device, depth);
	}
}

static gint compare_nodes(gconstpointer a, gconstpointer b)
{
	return strcmp(json_object_get_string_member(*(JsonObject *const *)a, "dev"),
		      json_object_get_string_member(*(JsonObject *const *)b, "dev"));
}

JsonArray *sf_disk_places_find(SfDiskPlaces *places, const SfMount *mount)
{
	g_autoptr(GHashTable) devices =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GHashTable) superblocks =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GPtrArray) found = g_ptr_array_new();
	Search search = {places, found, devices, superblocks};
	JsonArray *array = json_array_new();

	add_superblock(&search, mount, 0);
	/* sysfs has no order of its own. */
	g_ptr_array_sort(found, compare_nodes);
	for (guint i = 0; i < found->len; i++)
		json_array_add_object_element(array, json_object_ref(g_ptr_array_index(found, i)));
	return array;
}

char *sf_disk_places_name(SfDiskPlaces *places, const SfMount *mount)
{
	SfDevice device = mount->device;
	const char *name = NULL;

	if (SF_DEVICE_MAJOR(device) != 0 ||
	    sf_blockdevs_find_path(places->blockdevs, mount->source, places->mounts, &device))
		name = sf_blockdevs_get(places->blockdevs, device)->name;
	return name ? g_strdup(name) : g_path_get_basename(mount->source);
}
