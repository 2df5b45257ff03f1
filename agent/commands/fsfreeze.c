/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest-fsfreeze-*: the family that every hypervisor knows, as thin views of the session. What they
 * cannot say (how long, what was consistent) is said by an error of guest-fsfreeze-thaw.
 */
#include "config.h"

#include "agent/commands/commands.h"
#include "protocol/error.h"

static const SfArgumentSpec list_arguments[] = {
	{"mountpoints", SF_ARGUMENT_STRINGS, true, NULL},
	{NULL},
};

static void run_status(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	JsonNode *node = json_node_new(JSON_NODE_VALUE);

	json_node_set_string(node, sf_session_is_frozen(context->session) ? "frozen" : "thawed");
	sf_call_return(call, node);
}

static void on_freeze_done(const GError *error, gpointer user_data)
{
	g_autofree SfPending *pending = user_data;

	if (error)
		sf_call_fail(pending->call, error);
	else
		sf_answer_integer(pending->call, sf_session_frozen_count(pending->session));
}

static void run_freeze(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	sf_pending_freeze(sf_pending_new(call, user_data), arguments, -1, on_freeze_done);
}

static void answer_thaw(SfPending *pending, bool was_frozen)
{
	const SfOutcome *outcome = sf_session_outcome(pending->session);
	g_autofree char *complaint =
		was_frozen ? sf_outcome_describe(outcome)
			   : sf_outcome_complain(outcome, sf_call_channel(pending->call));
	g_autoptr(GError) error = NULL;

	/* A rehearsal tries the host's tools, which must see what they would see. */
	if (complaint && !sf_session_is_rehearsal(pending->session)) {
		sf_throw(&error, "%s", complaint);
		sf_call_fail(pending->call, error);
	} else {
		sf_answer_integer(pending->call, was_frozen ? outcome->thawed : 0);
	}
}

static void on_thaw_done(bool was_frozen, const GError *error, gpointer user_data)
{
	g_autofree SfPending *pending = user_data;

	if (error)
		sf_call_fail(pending->call, error);
	else
		answer_thaw(pending, was_frozen);
}

static void run_thaw(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;

	sf_session_thaw(context->session, sf_call_channel(call), 0, on_thaw_done,
			sf_pending_new(call, context));
}

const SfCommand sf_fsfreeze_commands[] = {
	{.name = "guest-fsfreeze-status", .allowed_while_frozen = true, .run = run_status},
	{.name = "guest-fsfreeze-freeze", .arguments = list_arguments, .run = run_freeze},
	{.name = "guest-fsfreeze-freeze-list", .arguments = list_arguments, .run = run_freeze},
	{.name = "guest-fsfreeze-thaw",
	 .allowed_while_frozen = true,
	 .never_blocked = true,
	 .run = run_thaw},
	{NULL},
};
