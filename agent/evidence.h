/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/namespaces.h"
#include "agent/outcome.h"
#include "agent/plan.h"
#include "agent/record.h"

/**
 * SfEvidence: what is looked at before a snapshot is called consistent: whether the mount table
 * changed, whether a writable superblock is there that was not planned, whether a device was
 * written while it was frozen, and what the thaw itself answered.
 */
typedef struct SfEvidence SfEvidence;

/* Starts to watch the mount table: call it before the table is read. @source must outlive it. */
SfEvidence *sf_evidence_new(const SfPlanSource *source, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_evidence_free(SfEvidence *evidence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfEvidence, sf_evidence_free)

/**
 * sf_evidence_table_changed:
 * @mounts: (nullable): what was read last
 *
 * Whether the own mount table may have changed since the last call, or since sf_evidence_new(); or
 * another namespace's, or which there are, since @mounts was read.
 */
bool sf_evidence_table_changed(SfEvidence *evidence, const SfMounts *mounts,
			       SfWhichProcesses which);

/* Opens the write counters of the plan's devices: while nothing is frozen. */
bool sf_evidence_open(SfEvidence *evidence, const SfPlan *plan,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Right after the last FIFREEZE: remembers the counters. Surprises are added to @outcome's reasons.
 */
void sf_evidence_take(SfEvidence *evidence, const SfPlan *plan, SfOutcome *outcome);

/* Right before the first FITHAW: what happened in between is added to @outcome's reasons. */
void sf_evidence_judge(SfEvidence *evidence, const SfPlan *plan, const SfRecord *record,
		       SfOutcome *outcome);

/* After the thaw: what it answered for each filesystem, and how many we thawed. */
void sf_evidence_hear_thaw(const SfPlan *plan, const SfRecord *record, SfOutcome *outcome);
