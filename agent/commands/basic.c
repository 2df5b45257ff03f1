/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-sync, guest-sync-delimited, guest-ping, guest-info: what a host needs before anything else.
 */
#include "config.h"

#include "agent/commands/commands.h"

static const SfArgumentSpec sync_arguments[] = {
	{"id", SF_ARGUMENT_INTEGER, false, NULL},
	{NULL},
};

static void run_sync(SfCall *call, const SfArguments *arguments, gpointer context)
{
	sf_answer_integer(call, sf_arguments_get_integer(arguments, "id"));
}

static void run_ping(SfCall *call, const SfArguments *arguments, gpointer context)
{
	sf_answer_nothing(call);
}

static void add_command(const SfCommand *command, bool is_enabled, gpointer user_data)
{
	JsonObject *entry = json_object_new();

	json_object_set_boolean_member(entry, "enabled", is_enabled);
	json_object_set_string_member(entry, "name", command->name);
	json_object_set_boolean_member(entry, "success-response", !command->no_success_response);
	json_array_add_object_element(user_data, entry);
}

static void run_info(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	JsonObject *info = json_object_new();
	JsonArray *commands = json_array_new();

	sf_dispatch_each(context->dispatch, add_command, commands);
	json_object_set_string_member(info, "version", PACKAGE_VERSION);
	json_object_set_array_member(info, "supported_commands", commands);
	sf_answer_object(call, info, NULL);
}

const SfCommand sf_basic_commands[] = {
	{.name = "guest-sync-delimited",
	 .arguments = sync_arguments,
	 .allowed_while_frozen = true,
	 .delimited = true,
	 .run = run_sync},
	{.name = "guest-sync",
	 .arguments = sync_arguments,
	 .allowed_while_frozen = true,
	 .run = run_sync},
	{.name = "guest-ping", .allowed_while_frozen = true, .run = run_ping},
	{.name = "guest-info", .allowed_while_frozen = true, .run = run_info},
	{NULL},
};
