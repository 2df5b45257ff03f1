/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-get-fsinfo, guest-get-disks: filesystems and disks, and where the disks are plugged in. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent/commands/commands.h"
#include "agent/commands/disks.h"
#include "agent/commands/fsinfo.h"
#include "agent/disk-address.h"
#include "agent/freezer/capabilities.h"
#include "agent/sysfs.h"
#include "protocol/error.h"

#define UDEV "/run/udev/data"
/* How long one filesystem may take to say how full it is, and how many may not say it in time. */
#define TIMEOUT_MS 2000
#define MAX_HUNG 4

static char *real_folder(const char *sys, const char *name)
{
	g_autofree char *link = g_build_filename(sys, "class/block", name, NULL);

	return realpath(link, NULL);
}

static void add_slaves(JsonArray *dependencies, const char *folder)
{
	g_autofree char *slaves = g_build_filename(folder, "slaves", NULL);
	g_autoptr(GPtrArray) names = sf_sysfs_list(slaves);

	for (guint i = 0; i < names->len; i++) {
		g_autofree char *node = sf_disk_node(g_ptr_array_index(names, i));

		json_array_add_string_element(dependencies, node);
	}
}

/* A partition depends on its disk. */
static void add_disk_of(JsonArray *dependencies, const char *folder)
{
	g_autofree char *parent = g_path_get_dirname(folder);
	g_autofree char *name = g_path_get_basename(parent);
	g_autofree char *node = sf_disk_node(name);

	json_array_add_string_element(dependencies, node);
}

static JsonObject *describe(const char *sys, const char *udev, const char *name, const char *folder)
{
	JsonObject *disk = json_object_new();
	JsonArray *dependencies = json_array_new();
	g_autofree char *partition = sf_sysfs_read(folder, "partition");
	g_autofree char *alias = sf_sysfs_read(folder, "dm/name");
	g_autofree char *node = sf_disk_node(name);
	JsonObject *address = partition ? NULL : sf_disk_address_new(sys, udev, name);

	if (partition)
		add_disk_of(dependencies, folder);
	else
		add_slaves(dependencies, folder);
	json_object_set_string_member(disk, "name", node);
	json_object_set_boolean_member(disk, "partition", partition != NULL);
	json_object_set_array_member(disk, "dependencies", dependencies);
	if (address)
		json_object_set_object_member(disk, "address", address);
	if (alias && *alias)
		json_object_set_string_member(disk, "alias", alias);
	return disk;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

JsonArray *sf_disks_read(const char *sys, const char *udev)
{
	JsonArray *disks = json_array_new();
	g_autofree char *class = g_build_filename(sys, "class/block", NULL);
	g_autoptr(GPtrArray) names = sf_sysfs_list(class);

	g_ptr_array_sort(names, compare_names);
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *folder = real_folder(sys, name);
		g_autofree char *size = folder ? sf_sysfs_read(folder, "size") : NULL;

		/* Nothing is in it: a loop device without a file, a drive without a medium. */
		if (size && !g_str_equal(size, "0"))
			json_array_add_object_element(disks, describe(sys, udev, name, folder));
	}
	return disks;
}

static const SfPlanSource *source_of(gpointer user_data)
{
	SfContext *context = user_data;

	return &sf_session_settings(context->session)->source;
}

static void run_disks(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	sf_answer_array(call, sf_disks_read(source_of(user_data)->sys, UDEV), NULL);
}

typedef struct {
	SfCall *call;
	SfErrands *errands;
	SfFsinfo *info;
	guint next; /* the superblock that the child begins with */
	guint hung;
} Asking;

typedef struct {
	SfFsinfoSpace space;
	bool is_known;
} Reply;

/* In the child, because a disk or a machine that is dead never answers. */
static void ask_filesystems(int fd, gpointer work_data)
{
	const Asking *asking = work_data;
	const GPtrArray *paths = sf_fsinfo_paths(asking->info);

	sf_capabilities_keep(SF_CAPABILITY(CAP_DAC_READ_SEARCH));
	for (guint i = asking->next; i < paths->len; i++) {
		const char *path = g_ptr_array_index(paths, i);
		struct statvfs found;
		Reply reply;

		memset(&reply, 0, sizeof(reply));
		if (path && statvfs(path, &found) == 0) {
			uint64_t unit = found.f_frsize;

			reply.is_known = true;
			reply.space.used = (found.f_blocks - found.f_bfree) * unit;
			reply.space.total = reply.space.used + found.f_bavail * unit;
			reply.space.total_privileged = found.f_blocks * unit;
		}
		if (!sf_errand_write(fd, &reply, sizeof(reply)))
			return;
	}
}

static void finish(Asking *asking)
{
	g_autofree char *text = sf_fsinfo_write(asking->info);

	sf_call_return_text(asking->call, text);
	sf_fsinfo_free(asking->info);
	g_free(asking);
}

static void on_asked(const GByteArray *output, bool is_whole, gpointer user_data)
{
	Asking *asking = user_data;
	guint count = output->len / sizeof(Reply);

	for (guint i = 0; i < count; i++) {
		Reply reply;

		memcpy(&reply, output->data + i * sizeof(reply), sizeof(reply));
		if (reply.is_known)
			sf_fsinfo_set_space(asking->info, asking->next + i, &reply.space);
	}
	/* The one that it hung at goes without; the others are asked by another child. */
	asking->next += count + 1;
	asking->hung++;
	if (asking->next >= sf_fsinfo_paths(asking->info)->len || asking->hung == MAX_HUNG)
		finish(asking);
	else
		sf_errand_start(asking->errands, ask_filesystems, asking, TIMEOUT_MS, on_asked,
				asking);
}

static void run_fsinfo(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	const SfPlanSource *source = source_of(context);
	g_autoptr(GError) error = NULL;
	g_autoptr(SfFsinfoTable) table =
		sf_fsinfo_cache_get(context->fsinfo_cache, source->mountinfo, &error);
	Asking *asking;

	if (!table) {
		sf_call_fail(call, error);
		return;
	}
	asking = g_new0(Asking, 1);
	asking->call = call;
	asking->errands = context->errands;
	asking->info = sf_fsinfo_new(table, source, UDEV);
	sf_errand_start(asking->errands, ask_filesystems, asking, TIMEOUT_MS, on_asked, asking);
}

const SfCommand sf_disk_commands[] = {
	{.name = "guest-get-fsinfo", .profile = SF_PROFILE_STANDARD, .run = run_fsinfo},
	{.name = "guest-get-disks", .profile = SF_PROFILE_STANDARD, .run = run_disks},
	{NULL},
};
