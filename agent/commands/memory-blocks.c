/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-get-memory-blocks, guest-get-memory-block-info, guest-set-memory-blocks: blocks of memory
 * as /sys/devices/system/memory shows them. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/hotplug.h"
#include "agent/freezer/capabilities.h"
#include "agent/sysfs.h"
#include "protocol/error.h"

#define FOLDER "devices/system/memory"
#define TIMEOUT_MS 60000

static char *block_folder(const char *sys, guint64 index)
{
	return g_strdup_printf("%s/" FOLDER "/memory%" G_GUINT64_FORMAT, sys, index);
}

static bool is_online(const char *state)
{
	return g_str_has_prefix(state, "online") || g_str_has_prefix(state, "going-offline");
}

static JsonObject *describe(const char *sys, guint64 index)
{
	g_autofree char *folder = block_folder(sys, index);
	g_autofree char *state = sf_sysfs_read(folder, "state");
	g_autofree char *removable = sf_sysfs_read(folder, "removable");
	JsonObject *block = json_object_new();

	json_object_set_int_member(block, "phys-index", (gint64)index);
	json_object_set_boolean_member(block, "online", state && is_online(state));
	json_object_set_boolean_member(block, "can-offline", removable && *removable != '0');
	return block;
}

JsonArray *sf_memory_blocks_read(const char *sys, GError **error)
{
	g_autofree char *folder = g_build_filename(sys, FOLDER, NULL);
	g_autoptr(GArray) indexes = sf_sysfs_list_numbered(folder, "memory");
	JsonArray *blocks;

	if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
		sf_throw(error, "this kernel does not show its blocks of memory");
		return NULL;
	}
	blocks = json_array_new();
	for (guint i = 0; i < indexes->len; i++)
		json_array_add_object_element(blocks,
					      describe(sys, g_array_index(indexes, guint64, i)));
	return blocks;
}

JsonObject *sf_memory_block_info_read(const char *sys, GError **error)
{
	g_autofree char *folder = g_build_filename(sys, FOLDER, NULL);
	g_autofree char *size = sf_sysfs_read(folder, "block_size_bytes");
	JsonObject *info;

	if (!size) {
		sf_throw(error, "this kernel does not show its blocks of memory");
		return NULL;
	}
	info = json_object_new();
	json_object_set_int_member(info, "size", (gint64)g_ascii_strtoull(size, NULL, 16));
	return info;
}

static const char *const response_names[] = {
	[SF_MEMORY_SUCCESS] = "success",
	[SF_MEMORY_NOT_FOUND] = "not-found",
	[SF_MEMORY_NOT_SUPPORTED] = "operation-not-supported",
	[SF_MEMORY_FAILED] = "operation-failed",
};

SfMemoryResult sf_memory_block_set(const char *sys, int64_t index, bool online)
{
	g_autofree char *folder = block_folder(sys, (guint64)index);
	g_autofree char *state = NULL;

	if (index < 0 || !g_file_test(folder, G_FILE_TEST_IS_DIR))
		return (SfMemoryResult){SF_MEMORY_NOT_FOUND, ENOENT};
	state = sf_sysfs_read(folder, "state");
	if (!state)
		return (SfMemoryResult){SF_MEMORY_NOT_SUPPORTED, ENOENT};
	if (is_online(state) == online)
		return (SfMemoryResult){SF_MEMORY_SUCCESS, 0};
	if (sf_sysfs_write(folder, "state", online ? "online" : "offline"))
		return (SfMemoryResult){SF_MEMORY_SUCCESS, 0};
	return (SfMemoryResult){SF_MEMORY_FAILED, errno};
}

static const char *sys_of(gpointer user_data)
{
	SfContext *context = user_data;

	return sf_session_settings(context->session)->source.sys;
}

static void run_get(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	JsonArray *blocks = sf_memory_blocks_read(sys_of(user_data), &error);

	sf_answer_array(call, blocks, error);
}

static void run_info(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	JsonObject *info = sf_memory_block_info_read(sys_of(user_data), &error);

	sf_answer_object(call, info, error);
}

typedef struct {
	const SfArguments *arguments;
	const char *sys;
} Request;

typedef struct {
	SfCall *call;
	GArray *indexes; /* of gint64 */
} Pending;

/* In the child: the kernel moves what lies there, and tries again for as long as it cannot. */
static void set_all(int fd, gpointer work_data)
{
	const Request *request = work_data;
	guint count = sf_arguments_count_objects(request->arguments, "mem-blks");

	sf_capabilities_keep(0);
	for (guint i = 0; i < count; i++) {
		g_autoptr(SfArguments) block =
			sf_arguments_get_object(request->arguments, "mem-blks", i);
		SfMemoryResult result =
			sf_memory_block_set(request->sys,
					    sf_arguments_get_integer(block, "phys-index"),
					    sf_arguments_get_boolean(block, "online"));

		sf_errand_write(fd, &result, sizeof(result));
	}
}

static JsonObject *respond(gint64 index, const SfMemoryResult *result)
{
	JsonObject *answer = json_object_new();

	json_object_set_int_member(answer, "phys-index", index);
	json_object_set_string_member(answer, "response", response_names[result->response]);
	if (result->response != SF_MEMORY_SUCCESS)
		json_object_set_int_member(answer, "error-code", result->error);
	return answer;
}

/* What the child did not come to has not happened within the time. */
static void on_set(const GByteArray *output, bool is_whole, gpointer user_data)
{
	Pending *pending = user_data;
	JsonArray *responses = json_array_new();

	for (guint i = 0; i < pending->indexes->len; i++) {
		SfMemoryResult result = {SF_MEMORY_FAILED, ETIMEDOUT};

		if ((i + 1) * sizeof(result) <= output->len)
			memcpy(&result, output->data + i * sizeof(result), sizeof(result));
		json_array_add_object_element(responses,
					      respond(g_array_index(pending->indexes, gint64, i),
						      &result));
	}
	sf_answer_array(pending->call, responses, NULL);
	g_array_unref(pending->indexes);
	g_free(pending);
}

static void run_set(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	Request request = {arguments, sys_of(user_data)};
	Pending *pending = g_new0(Pending, 1);
	guint count = sf_arguments_count_objects(arguments, "mem-blks");

	pending->call = call;
	pending->indexes = g_array_new(FALSE, FALSE, sizeof(gint64));
	for (guint i = 0; i < count; i++) {
		g_autoptr(SfArguments) block = sf_arguments_get_object(arguments, "mem-blks", i);
		gint64 index = sf_arguments_get_integer(block, "phys-index");

		g_array_append_val(pending->indexes, index);
	}
	sf_errand_start(((SfContext *)user_data)->errands, set_all, &request, TIMEOUT_MS, on_set,
			pending);
}

static const SfArgumentSpec block_members[] = {
	{"phys-index", SF_ARGUMENT_INTEGER, false, NULL},
	{"online", SF_ARGUMENT_BOOLEAN, false, NULL},
	{"can-offline", SF_ARGUMENT_BOOLEAN, true, NULL},
	{NULL},
};
static const SfArgumentSpec set_arguments[] = {
	{.name = "mem-blks", .type = SF_ARGUMENT_OBJECTS, .members = block_members},
	{NULL},
};

const SfCommand sf_memory_commands[] = {
	{.name = "guest-get-memory-blocks", .profile = SF_PROFILE_STANDARD, .run = run_get},
	{.name = "guest-get-memory-block-info", .profile = SF_PROFILE_STANDARD, .run = run_info},
	{.name = "guest-set-memory-blocks",
	 .arguments = set_arguments,
	 .profile = SF_PROFILE_STANDARD,
	 .run = run_set},
	{NULL},
};
