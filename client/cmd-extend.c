/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze extend: a new deadline for the freeze that is on. Called by main's table. */
#include "config.h"

#include "client/format.h"
#include "client/reply.h"
#include "client/report.h"
#include "client/subcommand.h"

typedef struct {
	int64_t id; /* -1: the one that status names */
	int64_t lease_ms;
} Options;

static bool parse(SfInvocation *invocation, const char *summary, int argc, char **argv,
		  Options *options, GError **error)
{
	const GOptionEntry entries[] = {
		{"id", 0, 0, G_OPTION_ARG_INT64, &options->id,
		 "Only this freeze (default: whichever is on)", "N"},
		{NULL},
	};

	if (!sf_invocation_parse_command(invocation, "DURATION", summary, entries, &argc, &argv, 1,
					 error))
		return false;
	if (argc < 2) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "for how long?");
		return false;
	}
	return sf_parse_duration(argv[1], &options->lease_ms, error);
}

static bool find_id(SfClient *client, unsigned int wait_ms, int64_t *out_id, GError **error)
{
	g_autoptr(JsonNode) status =
		sf_client_call(client, "snapfreeze-status", NULL, wait_ms, error);

	if (!status)
		return false;
	if (!sf_reply_integer(sf_reply_root(status), "id", out_id)) {
		g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED,
			    "GenericError: nothing is frozen");
		return false;
	}
	return true;
}

static void report(SfInvocation *invocation, JsonNode *reply)
{
	g_autofree char *left = sf_reply_duration(sf_reply_root(reply), "deadline-ms");

	if (invocation->json) {
		sf_print_json(invocation, reply);
		return;
	}
	sf_report_rehearsal(invocation, sf_reply_root(reply));
	g_string_append_printf(invocation->out, "Thaws by itself in %s\n",
			       *left ? left : "unknown time");
}

static bool extend(SfInvocation *invocation, const Options *options, GError **error)
{
	unsigned int wait_ms = sf_invocation_wait_ms(invocation, SF_WAIT_SHORT_MS);
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, error);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autoptr(JsonNode) reply = NULL;
	int64_t id = options->id;

	if (!client || (id < 0 && !find_id(client, wait_ms, &id, error)))
		return false;
	json_object_set_int_member(arguments, "id", id);
	json_object_set_int_member(arguments, "timeout", (options->lease_ms + 999) / 1000);
	reply = sf_client_call(client, "snapfreeze-extend", arguments, wait_ms, error);
	if (!reply)
		return false;
	report(invocation, reply);
	return true;
}

SfExit sf_cmd_extend(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	Options options = {.id = -1};

	if (!parse(invocation, summary, argc, argv, &options, &error) ||
	    !extend(invocation, &options, &error))
		return sf_fail(invocation, error);
	return SF_EXIT_OK;
}
