/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze thaw: ends the agent's freeze and tells whether it held; with --foreign, somebody
 * else's, which is foreign.c's matter. Called by main's table. */
#include "config.h"

#include "client/foreign.h"
#include "client/report.h"
#include "client/subcommand.h"

typedef struct {
	int64_t id; /* -1: any */
	char *foreign;
} Options;

static bool parse(SfInvocation *invocation, const char *summary, int argc, char **argv,
		  Options *options, GError **error)
{
	const GOptionEntry entries[] = {
		{"id", 0, 0, G_OPTION_ARG_INT64, &options->id,
		 "Only this freeze (default: whichever is on)", "N"},
		{"foreign", 0, 0, G_OPTION_ARG_FILENAME, &options->foreign,
		 "Undo one freeze that is not the agent's, here and as root", "MOUNTPOINT"},
		{NULL},
	};

	if (!sf_invocation_parse_command(invocation, NULL, summary, entries, &argc, &argv, 0,
					 error))
		return false;
	if (options->foreign && options->id >= 0) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			    "--foreign and --id exclude each other");
		return false;
	}
	return true;
}

static SfExit fall_back(SfInvocation *invocation, SfClient *client, unsigned int wait_ms)
{
	const char *command = "guest-fsfreeze-thaw";
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) reply = sf_client_call(client, command, NULL, wait_ms, &error);

	if (!reply)
		return sf_fail(invocation, error);
	sf_report_fallback(invocation, "thawed", command, reply);
	return SF_EXIT_OK;
}

static SfExit thaw(SfInvocation *invocation, int64_t id)
{
	unsigned int wait_ms = sf_invocation_wait_ms(invocation, SF_WAIT_LONG_MS);
	g_autoptr(GError) error = NULL;
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, &error);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autoptr(JsonNode) reply = NULL;

	if (!client)
		return sf_fail(invocation, error);
	if (id >= 0)
		json_object_set_int_member(arguments, "id", id);
	reply = sf_client_call(client, "snapfreeze-thaw", arguments, wait_ms, &error);
	/* Its agent gives no ids: whatever it thawed would not be the freeze that was named. */
	if (!reply && id < 0 && sf_error_is_unknown_command(error))
		return fall_back(invocation, client, wait_ms);
	if (!reply)
		return sf_fail(invocation, error);
	return sf_report_thaw(invocation, reply) ? SF_EXIT_OK : SF_EXIT_REFUSED;
}

SfExit sf_cmd_thaw(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	Options options = {.id = -1};
	SfExit status;

	if (!parse(invocation, summary, argc, argv, &options, &error))
		status = sf_fail(invocation, error);
	else if (!options.foreign)
		status = thaw(invocation, options.id);
	else if (sf_foreign_thaw(invocation, options.foreign, &error))
		status = SF_EXIT_OK;
	else
		status = sf_fail(invocation, error);
	g_free(options.foreign);
	return status;
}
