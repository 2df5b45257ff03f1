/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze status: reads, changes nothing. Called by main's table. */
#include "config.h"

#include "client/report.h"
#include "client/subcommand.h"

static bool fall_back(SfInvocation *invocation, SfClient *client, unsigned int wait_ms,
		      GError **error)
{
	const char *command = "guest-fsfreeze-status";
	g_autoptr(JsonNode) reply = sf_client_call(client, command, NULL, wait_ms, error);

	if (!reply)
		return false;
	sf_report_fallback(invocation, "state", command, reply);
	return true;
}

static bool report(SfInvocation *invocation, GError **error)
{
	unsigned int wait_ms = sf_invocation_wait_ms(invocation, SF_WAIT_SHORT_MS);
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, error);
	g_autoptr(JsonNode) reply = NULL;
	g_autoptr(GError) refusal = NULL;

	if (!client)
		return false;
	reply = sf_client_call(client, "snapfreeze-status", NULL, wait_ms, &refusal);
	if (!reply && sf_error_is_unknown_command(refusal))
		return fall_back(invocation, client, wait_ms, error);
	if (!reply) {
		g_propagate_error(error, g_steal_pointer(&refusal));
		return false;
	}
	sf_report_status(invocation, reply);
	return true;
}

SfExit sf_cmd_status(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	if (!sf_invocation_parse_command(invocation, NULL, summary, NULL, &argc, &argv, 0,
					 &error) ||
	    !report(invocation, &error))
		return sf_fail(invocation, error);
	return SF_EXIT_OK;
}
