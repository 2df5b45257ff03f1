/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that wait for the session, which both freeze families have. */
#include "config.h"

#include "agent/commands/commands.h"

SfPending *sf_pending_new(SfCall *call, SfContext *context)
{
	SfPending *pending = g_new(SfPending, 1);

	*pending = (SfPending){call, context->session};
	return pending;
}

static void on_give_up(SfCall *call, gpointer user_data)
{
	SfPending *pending = user_data;

	sf_session_give_up(pending->session, pending);
}

void sf_pending_freeze(SfPending *pending, const SfArguments *arguments, int64_t timeout_s,
		       SfFreezeDone done)
{
	g_auto(GStrv) mountpoints = sf_arguments_get_strings(arguments, "mountpoints");
	SfFreezeRequest request = {
		.command = sf_call_command(pending->call),
		.channel = sf_call_channel(pending->call),
		.mountpoints = (const char *const *)mountpoints,
		.label = sf_arguments_get_string(arguments, "label"),
		.timeout_s = timeout_s,
	};

	sf_call_on_give_up(pending->call, on_give_up, pending);
	sf_session_freeze(pending->session, &request, done, pending);
}
