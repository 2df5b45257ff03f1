/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze ping: one guest-ping on a connection already synced, so that what is measured is the
 * round trip alone. Called by main's table. */
#include "config.h"

#include "client/format.h"
#include "client/subcommand.h"

static void print_round_trip(SfInvocation *invocation, int64_t us)
{
	g_autofree char *duration = sf_format_duration((double)us / 1000);
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *object = json_object_new();

	json_object_set_int_member(object, "round-trip-us", us);
	json_node_take_object(node, object);
	if (invocation->json)
		sf_print_json(invocation, node);
	else
		g_string_append_printf(invocation->out, "answered in %s\n", duration);
}

static bool ping(SfInvocation *invocation, GError **error)
{
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, error);
	g_autoptr(JsonNode) reply = NULL;
	int64_t start_us;

	if (!client)
		return false;
	start_us = g_get_monotonic_time();
	reply = sf_client_call(client, "guest-ping", NULL,
			       sf_invocation_wait_ms(invocation, SF_WAIT_SHORT_MS), error);
	if (!reply)
		return false;
	print_round_trip(invocation, g_get_monotonic_time() - start_us);
	return true;
}

SfExit sf_cmd_ping(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	if (!sf_invocation_parse_command(invocation, NULL, summary, NULL, &argc, &argv, 0,
					 &error) ||
	    !ping(invocation, &error))
		return sf_fail(invocation, error);
	return SF_EXIT_OK;
}
