/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-get-vcpus, guest-set-vcpus: processors as /sys/devices/system/cpu shows them. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/hotplug.h"
#include "agent/freezer/capabilities.h"
#include "agent/sysfs.h"
#include "protocol/error.h"

#define FOLDER "devices/system/cpu"
#define TIMEOUT_MS 60000
/* What the child writes for each processor that is as it was asked for; a reason may follow. */
#define DONE '\1'

/* A processor without the file "online" is always on. */
static JsonObject *describe(const char *folder, guint64 id)
{
	g_autofree char *name = g_strdup_printf("cpu%" G_GUINT64_FORMAT "/online", id);
	g_autofree char *online = sf_sysfs_read(folder, name);
	JsonObject *vcpu = json_object_new();

	json_object_set_int_member(vcpu, "logical-id", (gint64)id);
	json_object_set_boolean_member(vcpu, "online", !online || *online != '0');
	json_object_set_boolean_member(vcpu, "can-offline", online != NULL);
	return vcpu;
}

JsonArray *sf_vcpus_read(const char *sys, GError **error)
{
	g_autofree char *folder = g_build_filename(sys, FOLDER, NULL);
	g_autoptr(GArray) ids = sf_sysfs_list_numbered(folder, "cpu");
	JsonArray *vcpus;

	if (ids->len == 0) {
		sf_throw(error, "'%s' shows no processors", folder);
		return NULL;
	}
	vcpus = json_array_new();
	for (guint i = 0; i < ids->len; i++)
		json_array_add_object_element(vcpus,
					      describe(folder, g_array_index(ids, guint64, i)));
	return vcpus;
}

bool sf_vcpu_set(const char *sys, int64_t id, bool online, GError **error)
{
	g_autofree char *folder = g_strdup_printf("%s/" FOLDER "/cpu%" G_GINT64_FORMAT, sys, id);
	g_autofree char *state = sf_sysfs_read(folder, "online");

	if (id < 0 || !g_file_test(folder, G_FILE_TEST_IS_DIR))
		return sf_throw(error, "open(\"%s/\"): %s", folder, g_strerror(ENOENT));
	if (!state && online)
		return true;
	if (!state)
		return sf_throw(error, "logical processor #%" G_GINT64_FORMAT " can't be offlined",
				id);
	if ((*state != '0') == online)
		return true;
	if (sf_sysfs_write(folder, "online", online ? "1" : "0"))
		return true;
	return sf_throw_errno(error, "set logical processor #%" G_GINT64_FORMAT " %s", id,
			      online ? "online" : "offline");
}

static const char *sys_of(gpointer user_data)
{
	SfContext *context = user_data;

	return sf_session_settings(context->session)->source.sys;
}

static void run_get(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	JsonArray *vcpus = sf_vcpus_read(sys_of(user_data), &error);

	sf_answer_array(call, vcpus, error);
}

typedef struct {
	const SfArguments *arguments;
	const char *sys;
} Request;

/* In the child: the kernel waits for whatever runs there. */
static void set_all(int fd, gpointer work_data)
{
	const Request *request = work_data;
	guint count = sf_arguments_count_objects(request->arguments, "vcpus");

	sf_capabilities_keep(0);
	for (guint i = 0; i < count; i++) {
		g_autoptr(SfArguments) vcpu =
			sf_arguments_get_object(request->arguments, "vcpus", i);
		g_autoptr(GError) error = NULL;
		char mark = DONE;

		if (!sf_vcpu_set(request->sys, sf_arguments_get_integer(vcpu, "logical-id"),
				 sf_arguments_get_boolean(vcpu, "online"), &error)) {
			sf_errand_write(fd, error->message, strlen(error->message));
			return;
		}
		sf_errand_write(fd, &mark, 1);
	}
}

/* Answers how many of the list, from its beginning, are as they were asked for; where it is not
 * even the first, why. */
static void on_set(const GByteArray *output, bool is_whole, gpointer user_data)
{
	g_autofree char *text = sf_errand_text(output);
	size_t done = strspn(text, (const char[]){DONE, '\0'});
	g_autoptr(GError) error = NULL;

	if (done == 0 && text[0] != '\0')
		sf_throw(&error, "%s", text);
	else if (done == 0 && !is_whole)
		sf_throw(&error, "the kernel does not change a processor within %u s",
			 TIMEOUT_MS / 1000);
	if (error)
		sf_call_fail(user_data, error);
	else
		sf_answer_integer(user_data, (gint64)done);
}

static void run_set(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	Request request = {arguments, sys_of(user_data)};

	sf_errand_start(((SfContext *)user_data)->errands, set_all, &request, TIMEOUT_MS, on_set,
			call);
}

static const SfArgumentSpec vcpu_members[] = {
	{"logical-id", SF_ARGUMENT_INTEGER, false, NULL},
	{"online", SF_ARGUMENT_BOOLEAN, false, NULL},
	{"can-offline", SF_ARGUMENT_BOOLEAN, true, NULL},
	{NULL},
};
static const SfArgumentSpec set_arguments[] = {
	{.name = "vcpus", .type = SF_ARGUMENT_OBJECTS, .members = vcpu_members},
	{NULL},
};

const SfCommand sf_vcpu_commands[] = {
	{.name = "guest-get-vcpus", .profile = SF_PROFILE_STANDARD, .run = run_get},
	{.name = "guest-set-vcpus",
	 .arguments = set_arguments,
	 .profile = SF_PROFILE_STANDARD,
	 .run = run_set},
	{NULL},
};
