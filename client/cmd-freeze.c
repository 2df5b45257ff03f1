/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze freeze: freezes and leaves it to the deadline or a later thaw, or with --hold keeps it
 * and ends it. Called by main's table. */
#include "config.h"

#include "client/format.h"
#include "client/hold.h"
#include "client/interruptible.h"
#include "client/mountpoints.h"
#include "client/reply.h"
#include "client/report.h"
#include "client/subcommand.h"

typedef struct {
	char **mountpoints; /* (nullable): all */
	char *label;
	char *lease;
	char *hold;
	int64_t lease_ms; /* -1: the agent's default */
	int64_t hold_ms;  /* -1: do not hold */
} Options;

static void options_clear(Options *options)
{
	g_strfreev(options->mountpoints);
	g_free(options->label);
	g_free(options->lease);
	g_free(options->hold);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static bool check(Options *options, GError **error)
{
	if (options->lease && !sf_parse_duration(options->lease, &options->lease_ms, error))
		return false;
	if (options->hold && !sf_parse_duration(options->hold, &options->hold_ms, error))
		return false;
	if (options->hold && !options->lease)
		options->lease_ms = SF_LEASE_DEFAULT_MS;
	if (options->hold && options->lease_ms < SF_LEASE_MIN_MS) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "with --hold, a lease is at least 2s: it is renewed each second");
		return false;
	}
	if (!sf_check_mountpoints(options->mountpoints, error))
		return false;
	/* What tells this freeze from another one, should it have to be called off. */
	if (!options->label)
		options->label = g_strdup_printf("snapfreeze-%08x", g_random_int());
	return true;
}

static bool parse(SfInvocation *invocation, const char *summary, int argc, char **argv,
		  Options *options, GError **error)
{
	const GOptionEntry entries[] = {
		{"label", 0, 0, G_OPTION_ARG_STRING, &options->label,
		 "A name for this freeze, for status and the agent's log", "LABEL"},
		{"lease", 0, 0, G_OPTION_ARG_STRING, &options->lease,
		 "Thaw by itself after this long", "DURATION"},
		{"hold", 0, 0, G_OPTION_ARG_STRING, &options->hold,
		 "Stay, renew a short lease, and thaw after this long or at Ctrl-C", "DURATION"},
		{G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->mountpoints, NULL,
		 "[MOUNTPOINT...]"},
		{NULL},
	};

	options->lease_ms = options->hold_ms = -1;
	return sf_invocation_parse(invocation, NULL, summary, entries, false, &argc, &argv,
				   error) &&
	       check(options, error);
}

static JsonObject *arguments_new(const Options *options, bool is_ours)
{
	JsonObject *arguments = json_object_new();

	sf_add_mountpoints(arguments, options->mountpoints);
	if (is_ours)
		json_object_set_string_member(arguments, "label", options->label);
	if (is_ours && options->lease_ms >= 0)
		json_object_set_int_member(arguments, "timeout", (options->lease_ms + 999) / 1000);
	return arguments;
}

static SfExit thaw_fallback(SfLink *link)
{
	const char *command = "guest-fsfreeze-thaw";
	SfInvocation *invocation = link->invocation;
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) reply =
		sf_link_call(link, command, NULL,
			     sf_invocation_wait_ms(invocation, SF_WAIT_LONG_MS), &error);

	if (!reply)
		return sf_fail(invocation, error);
	sf_report_fallback(invocation, "thawed", command, reply);
	return SF_EXIT_REFUSED;
}

/* An agent that is not ours: its freeze has neither deadline nor lease. Whoever asked for one would
 * rely on it, and is refused. */
static SfExit fall_back(SfLink *link, SfSignals *signals, const Options *options)
{
	SfInvocation *invocation = link->invocation;
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonObject) arguments = arguments_new(options, false);
	const char *command =
		options->mountpoints ? "guest-fsfreeze-freeze-list" : "guest-fsfreeze-freeze";
	g_autoptr(JsonNode) reply = NULL;
	bool interrupted = false;

	if (options->lease_ms >= 0) {
		sf_say(invocation, "this agent is not snapfreeze's and knows no lease: it would "
				   "stay frozen for ever if nobody thawed it; nothing was done");
		return SF_EXIT_REFUSED;
	}
	reply = sf_call_interruptible(link, signals, command, arguments, options->label,
				      &interrupted, &error);
	if (!reply)
		return sf_fail_to_freeze(invocation, error);
	if (interrupted)
		return thaw_fallback(link);
	sf_report_fallback(invocation, "frozen", command, reply);
	return SF_EXIT_OK;
}

/* It is frozen. Where @interrupted, nobody wants that any more. */
static SfExit go_on(SfHold *hold, SfSignals *signals, const Options *options, JsonNode *reply,
		    bool interrupted)
{
	SfInvocation *invocation = hold->link->invocation;
	int64_t frozen;

	if (sf_reply_integer(sf_reply_root(reply), "frozen", &frozen) && frozen == 0) {
		sf_report_freeze(invocation, reply);
		return SF_EXIT_OK; /* the agent stays thawed then */
	}
	invocation->is_frozen = interrupted || options->hold_ms >= 0;
	sf_report_freeze(invocation, reply);
	sf_invocation_flush(invocation);
	if (interrupted) {
		sf_hold_thaw(hold);
		return SF_EXIT_REFUSED;
	}
	return options->hold_ms < 0 ? SF_EXIT_OK : sf_hold(hold, signals, options->hold_ms);
}

static SfExit freeze(SfInvocation *invocation, const Options *options)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonObject) arguments = arguments_new(options, true);
	g_auto(SfLink) link = {.invocation = invocation};
	g_autoptr(JsonNode) reply = NULL;
	SfHold hold = {.link = &link, .id = -1, .lease_ms = MAX(options->lease_ms, 0)};
	bool interrupted = false;
	SfSignals signals;

	if (!sf_link_connect(&link, &error))
		return sf_fail(invocation, error);
	sf_signals_init(&signals);
	reply = sf_call_interruptible(&link, &signals, "snapfreeze-freeze", arguments,
				      options->label, &interrupted, &error);
	if (!reply && !interrupted && sf_error_is_unknown_command(error))
		return fall_back(&link, &signals, options);
	if (!reply)
		return sf_fail_to_freeze(invocation, error);
	sf_reply_integer(sf_reply_root(reply), "id", &hold.id);
	return go_on(&hold, &signals, options, reply, interrupted);
}

SfExit sf_cmd_freeze(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_auto(Options) options = {0};

	if (!parse(invocation, summary, argc, argv, &options, &error))
		return sf_fail(invocation, error);
	return freeze(invocation, &options);
}
