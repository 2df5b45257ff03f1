/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the list of the guest's disks that a snapshot is taken of: which there are, which are left
 * out and why, which the user wants. The hosts (host-qemu.c, host-libvirt.c) call it. */
#include "config.h"

#include <string.h>

#include "client/disk.h"
#include "client/reply.h"
#include "protocol/error.h"

void sf_disk_free(SfDisk *disk)
{
	if (!disk)
		return;
	g_free(disk->name);
	g_free(disk->node);
	g_free(disk->image);
	g_free(disk->format);
	g_free(disk->target);
	g_free(disk->tag);
	g_free(disk);
}

GPtrArray *sf_disks_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)sf_disk_free);
}

/* The firmware's own variables are no disk of the guest; they change while nothing is mounted. */
static bool is_firmware(const char *device, const char *qdev)
{
	return (device && g_str_has_prefix(device, "pflash")) ||
	       (qdev && strstr(qdev, "/system.flash"));
}

/* Returns: (nullable): why no snapshot is taken of it */
static const char *reason_against(JsonObject *block, JsonObject *medium)
{
	if (!medium)
		return "it is empty";
	if (sf_reply_is_true(medium, "ro"))
		return "it is read-only";
	if (is_firmware(sf_reply_string(block, "device"), sf_reply_string(block, "qdev")))
		return "it is the firmware's";
	if (!sf_reply_string(block, "qdev"))
		return "no device of the guest has it";
	if (sf_reply_is_true(block, "removable"))
		return "its medium is removable";
	if (!sf_reply_string(medium, "node-name"))
		return "its node has no name";
	return NULL;
}

/* (transfer full) (nullable): the id of the guest's device, "/machine/peripheral/ID/…" */
static char *device_id(const char *qdev)
{
	const char *begin = qdev ? strstr(qdev, "/peripheral/") : NULL;
	const char *end;

	if (!begin)
		return NULL;
	begin += strlen("/peripheral/");
	end = strchrnul(begin, '/');
	return end > begin ? g_strndup(begin, (size_t)(end - begin)) : NULL;
}

/* The node is another one after each snapshot: the drive or the device is what stays. */
static char *name_of(JsonObject *block, JsonObject *medium)
{
	const char *drive = sf_reply_string(block, "device");
	const char *node = sf_reply_string(medium, "node-name");
	char *device;

	if (drive && *drive)
		return g_strdup(drive);
	device = device_id(sf_reply_string(block, "qdev"));
	return device ? device : g_strdup(node ? node : "a drive without a name");
}

static SfDisk *disk_new(JsonObject *block, JsonObject *medium)
{
	JsonObject *image = sf_reply_object(medium, "image");
	const char *file = sf_reply_string(image, "filename");
	const char *format = sf_reply_string(image, "format");
	SfDisk *disk = g_new0(SfDisk, 1);

	disk->name = name_of(block, medium);
	disk->node = g_strdup(sf_reply_string(medium, "node-name"));
	disk->image = g_strdup(file ? file : "");
	disk->format = g_strdup(format ? format : "");
	sf_reply_integer(image, "virtual-size", &disk->size);
	sf_reply_integer(image, "actual-size", &disk->used);
	return disk;
}

GPtrArray *sf_disks_from_qemu(JsonArray *blocks, GPtrArray **out_left_out)
{
	GPtrArray *disks = sf_disks_new();

	*out_left_out = g_ptr_array_new_with_free_func(g_free);
	for (unsigned int i = 0; i < sf_reply_length(blocks); i++) {
		JsonObject *block = sf_reply_object_at(blocks, i);
		JsonObject *medium = sf_reply_object(block, "inserted");
		const char *reason = reason_against(block, medium);

		if (reason) {
			g_autofree char *name = name_of(block, medium);
			g_ptr_array_add(*out_left_out, g_strdup_printf("%s: %s", name, reason));
		} else {
			g_ptr_array_add(disks, disk_new(block, medium));
		}
	}
	return disks;
}

static char *list_names(const GPtrArray *disks)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < disks->len; i++) {
		const SfDisk *disk = g_ptr_array_index(disks, i);

		g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", disk->name);
	}
	return g_string_free(text, FALSE);
}

static SfDisk *find(const GPtrArray *disks, const char *name, size_t len)
{
	for (guint i = 0; i < disks->len; i++) {
		SfDisk *disk = g_ptr_array_index(disks, i);

		if ((strncmp(disk->name, name, len) == 0 && disk->name[len] == '\0') ||
		    (strncmp(disk->node, name, len) == 0 && disk->node[len] == '\0'))
			return disk;
	}
	return NULL;
}

static bool choose_one(const GPtrArray *disks, GPtrArray *chosen, const char *wanted,
		       GError **error)
{
	const char *file = strchr(wanted, '=');
	size_t len = file ? (size_t)(file - wanted) : strlen(wanted);
	SfDisk *disk = find(disks, wanted, len);

	if (!disk) {
		g_autofree char *names = list_names(disks);
		return sf_throw(error,
				"there is no disk '%.*s' to take a snapshot of; there are: %s",
				(int)len, wanted, names);
	}
	if (g_ptr_array_find(chosen, disk, NULL))
		return sf_throw(error, "the disk '%s' is named twice", disk->name);
	if (file && file[1] == '\0')
		return sf_throw(error, "'%s' names no file", wanted);
	if (file)
		disk->target = g_strdup(file + 1);
	g_ptr_array_add(chosen, disk);
	return true;
}

bool sf_disks_choose(GPtrArray *disks, char **wanted, GError **error)
{
	g_autoptr(GPtrArray) chosen = g_ptr_array_new();

	if (disks->len == 0)
		return sf_throw(error, "the guest has no disk to take a snapshot of");
	for (char **at = wanted; at && *at; at++) {
		if (!choose_one(disks, chosen, *at, error))
			return false;
	}
	for (guint i = disks->len; wanted && i > 0; i--) {
		if (!g_ptr_array_find(chosen, g_ptr_array_index(disks, i - 1), NULL))
			g_ptr_array_remove_index(disks, i - 1);
	}
	return true;
}
