/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "client/invocation.h"

/* What agents answered, for people, or with --json as it came. All of them take a reply that lacks
 * members. */

void sf_report_status(SfInvocation *invocation, JsonNode *reply);
void sf_report_freeze(SfInvocation *invocation, JsonNode *reply);
/* Says why a freeze was not answered well, and what may come of it. Returns: the exit status */
SfExit sf_fail_to_freeze(SfInvocation *invocation, const GError *error);
/* Returns: whether nothing in it says that the snapshot is worthless or something still frozen */
bool sf_report_thaw(SfInvocation *invocation, JsonNode *reply);

/* What an agent that does not know our commands answered to @command, told as such; with --json as
 * {MEMBER: …, "by": COMMAND}. */
void sf_report_fallback(SfInvocation *invocation, const char *member, const char *command,
			JsonNode *reply);

/* Says so where nothing was really frozen. */
void sf_report_rehearsal(SfInvocation *invocation, JsonObject *reply);

/* Parts of the above: the table of what the reply to freeze does not cover, if there is anything;
 * the reasons in the reply to thaw. */
void sf_report_not_covered(SfInvocation *invocation, JsonObject *reply);
void sf_report_reasons(SfInvocation *invocation, JsonObject *reply);
