/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/outcome.h"
#include "agent/plan.h"
#include "agent/record.h"
#include "agent/scout.h"

/**
 * SfEvidence: what is looked at before a snapshot is called consistent: whether the mount tables
 * changed, whether a writable superblock is there that was not planned, whether a device was
 * written while it was frozen, and what the thaw itself answered.
 */
typedef struct SfEvidence SfEvidence;

/* Starts the scout, which watches the mount tables from when it plans. */
SfEvidence *sf_evidence_new(const SfPlanSource *source, const char *const *mountpoints,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Who waits is not called any more. */
void sf_evidence_free(SfEvidence *evidence);

/* (transfer none): to plan by, and to ask whether the plan is still true. */
SfScout *sf_evidence_scout(SfEvidence *evidence);

/* Opens the write counters of the plan's devices: while nothing is frozen. */
bool sf_evidence_open(SfEvidence *evidence, const SfPlan *plan,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef void (*SfEvidenceDone)(gpointer user_data);

/* Right after the last FIFREEZE: remembers the counters at once. Surprises are added to @outcome's
 * reasons before @done is called, never before this returns. */
void sf_evidence_take(SfEvidence *evidence, SfOutcome *outcome, SfEvidenceDone done,
		      gpointer user_data);

/* Before the thaw: the same of the tables. Not while one is under way. */
void sf_evidence_look(SfEvidence *evidence, SfOutcome *outcome, SfEvidenceDone done,
		      gpointer user_data);
bool sf_evidence_is_looking(const SfEvidence *evidence);

/* Right before the first FITHAW: what was written in between is added to @outcome's reasons. */
void sf_evidence_judge(SfEvidence *evidence, const SfPlan *plan, const SfRecord *record,
		       SfOutcome *outcome);

/* After the thaw: what it answered for each filesystem, and how many we thawed. */
void sf_evidence_hear_thaw(const SfPlan *plan, const SfRecord *record, SfOutcome *outcome);
