/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "client/link.h"
#include "client/signals.h"

/**
 * sf_call_interruptible:
 * @label: the freeze's; by it, the freeze to call off is told from somebody else's
 * @out_interrupted: (inout): set where a signal came
 *
 * Like sf_link_call() of a command that freezes, on a link that is connected. A signal while it
 * runs, or no answer in time, calls the freeze off: it is thawed over a second connection, which
 * makes the agent roll back. The answer is awaited all the same, since only it tells whether
 * something is frozen now.
 */
JsonNode *sf_call_interruptible(SfLink *link, SfSignals *signals, const char *command,
				JsonObject *arguments, const char *label, bool *out_interrupted,
				GError **error) G_GNUC_WARN_UNUSED_RESULT;
