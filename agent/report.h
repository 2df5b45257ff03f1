/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "agent/session.h"

/* What the snapfreeze-* commands answer, as snapfreeze-protocol(7) has it. All (transfer full). */
JsonNode *sf_report_freeze(const SfSession *session);
JsonNode *sf_report_thaw(const SfSession *session, bool was_frozen, const char *channel);
JsonNode *sf_report_extend(const SfSession *session);
JsonNode *sf_report_status(const SfSession *session);
/* Adds what every reply of ours has: "rehearsal": true, in a rehearsal. */
void sf_report_mark(const SfSession *session, JsonNode *reply);
