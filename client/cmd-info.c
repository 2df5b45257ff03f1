/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze info: guest-info as a table. Called by main's table. */
#include "config.h"

#include "client/format.h"
#include "client/reply.h"
#include "client/subcommand.h"
#include "client/table.h"

static void print_commands(SfInvocation *invocation, JsonArray *commands)
{
	const SfColumn columns[] = {{"COMMAND"}, {"ENABLED"}, {"ANSWERS"}, {NULL}};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);

	for (unsigned int i = 0; i < sf_reply_length(commands); i++) {
		JsonObject *command = sf_reply_object_at(commands, i);
		bool disabled = sf_reply_is_false(command, "enabled");
		bool silent = sf_reply_is_false(command, "success-response");

		sf_table_add(table, disabled ? SF_STYLE_DIM : SF_STYLE_PLAIN,
			     sf_reply_string(command, "name"));
		sf_table_add(table, disabled ? SF_STYLE_DIM : SF_STYLE_GOOD,
			     disabled ? "no" : "yes");
		sf_table_add(table, SF_STYLE_PLAIN, silent ? "errors only" : "always");
	}
	if (!sf_table_is_empty(table))
		sf_table_print(table, invocation->out);
}

static void report(SfInvocation *invocation, JsonNode *node)
{
	JsonObject *reply = sf_reply_root(node);
	const char *version = sf_reply_string(reply, "version");
	g_autofree char *safe = sf_escape(version ? version : "unknown", invocation->look.utf8);

	if (invocation->json) {
		sf_print_json(invocation, node);
		return;
	}
	g_string_append_printf(invocation->out, "Version %s\n", safe);
	print_commands(invocation, sf_reply_array(reply, "supported_commands"));
}

static bool run(SfInvocation *invocation, GError **error)
{
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, error);
	g_autoptr(JsonNode) reply = NULL;

	if (!client)
		return false;
	reply = sf_client_call(client, "guest-info", NULL,
			       sf_invocation_wait_ms(invocation, SF_WAIT_SHORT_MS), error);
	if (!reply)
		return false;
	report(invocation, reply);
	return true;
}

SfExit sf_cmd_info(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	if (!sf_invocation_parse_command(invocation, NULL, summary, NULL, &argc, &argv, 0,
					 &error) ||
	    !run(invocation, &error))
		return sf_fail(invocation, error);
	return SF_EXIT_OK;
}
