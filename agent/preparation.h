/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/evidence.h"
#include "agent/freezer-link.h"
#include "agent/session.h"
#include "agent/throttle.h"

/**
 * SfPreparation: all of a freeze that happens before the first FIFREEZE: plan, open, hand over to
 * the freezer, flush; then the hooks, and a short second flush, so that no application stands still
 * while the first takes its time, nor hears of a freeze that fails there. Where the mount table
 * changed meanwhile, all once more but the hooks.
 */
typedef struct SfPreparation SfPreparation;

/* @error: (nullable): why it failed. It holds the plan and the evidence until they are stolen. */
typedef void (*SfPreparationDone)(const GError *error, gpointer user_data);

/**
 * sf_preparation_start:
 * @hooks: with nothing under way; must outlive it
 * @id: of the freeze, for the record
 * @throttle: looks on at the flush; what it has limited then is left so, for it is to hold until
 * all is frozen
 *
 * @done is called once, never before this returns.
 */
SfPreparation *sf_preparation_start(const SfSessionSettings *settings, SfFreezerLink *link,
				    SfRecord *record, SfHooks *hooks, SfThrottle *throttle,
				    int64_t id, const SfFreezeRequest *request,
				    SfPreparationDone done, gpointer user_data);
/* A hook that runs is stopped; those that were told to freeze are the session's to tell to thaw. */
void sf_preparation_free(SfPreparation *preparation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfPreparation, sf_preparation_free)

/* Returns: whether the freezer's message was meant for the preparation. */
bool sf_preparation_take_message(SfPreparation *preparation, const struct sf_message *message);

/* Whether the freezer holds a plan of it, so that it must be told to drop it. */
bool sf_preparation_is_handed_over(const SfPreparation *preparation);
/* (transfer none): what is being prepared; the plan is %NULL until there is one. */
const SfPlan *sf_preparation_plan(const SfPreparation *preparation);
uint64_t sf_preparation_flush_ms(const SfPreparation *preparation);
/* (transfer full): once it is done. */
SfPlan *sf_preparation_steal_plan(SfPreparation *preparation);
SfEvidence *sf_preparation_steal_evidence(SfPreparation *preparation);
