/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/record.h"

/* What came of the last freeze that began; it stays until the next one, and a restart finds it in
 * the record. */
typedef struct {
	int64_t id; /* 0: there was none */
	char *channel, *label;
	enum sf_end end;
	bool is_consistent;
	GPtrArray *reasons;  /* of char*: why it is not consistent; empty where it is */
	char *thawed_by;     /* (nullable): the channel whose thaw ended it */
	unsigned int frozen; /* how many filesystems were */
	unsigned int thawed; /* how many of them we thawed */
	uint64_t frozen_ms, thaw_ms;
} SfOutcome;

void sf_outcome_init(SfOutcome *outcome);
void sf_outcome_clear(SfOutcome *outcome);

/* After a restart: what the record tells. */
void sf_outcome_load(SfOutcome *outcome, const SfRecord *record);

/* Adds a reason for which the snapshot is not consistent. */
void sf_outcome_blame(SfOutcome *outcome, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * sf_outcome_settle:
 * @thawed_by: (nullable): the channel that asked for the thaw
 *
 * Once all is thawed: takes the times and the end from @record, and stores the verdict there for
 * after a restart.
 */
void sf_outcome_settle(SfOutcome *outcome, SfRecord *record, const char *thawed_by);

/**
 * sf_outcome_complain:
 * @channel: that asks for a thaw when nothing is frozen
 *
 * Returns: (transfer full) (nullable): what a host that knows only guest-fsfreeze-thaw must be
 * told: that its freeze did not hold until now; %NULL where it did, or was another channel's
 */
char *sf_outcome_complain(const SfOutcome *outcome, const char *channel);

/* (transfer full): the same as one sentence for whoever thaws it now; %NULL where it is consistent.
 */
char *sf_outcome_describe(const SfOutcome *outcome);
