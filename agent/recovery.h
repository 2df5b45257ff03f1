/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/plan.h"
#include "agent/record.h"

/**
 * SfRecovery: the next start after agent and freezer died: waits for the end of the old freezer,
 * opens what the record calls ours anew by the mount table, and thaws it. Also "snapfreeze-agent
 * --recover".
 */
typedef struct SfRecovery SfRecovery;

/* @thawed: how many were, and by nobody else before. @error: (nullable): what is left frozen, and
 * why. Called once, from the main loop. */
typedef void (*SfRecoveryDone)(unsigned int thawed, const GError *error, gpointer user_data);

/* Whether there is anything to recover: entries of ours, or a freezer of an earlier agent that
 * still lives. */
bool sf_recovery_is_needed(const SfRecord *record);

/* Waits for the end of such a freezer. Returns: whether there is none any more */
bool sf_recovery_wait_freezer(const SfRecord *record, int timeout_ms);

/* @record and @source must outlive it. */
SfRecovery *sf_recovery_start(SfRecord *record, const SfPlanSource *source, bool rehearse,
			      SfRecoveryDone done, gpointer user_data);
void sf_recovery_free(SfRecovery *recovery);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfRecovery, sf_recovery_free)
