/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what is watched while a snapshot is taken: the write counters here, the mount tables in the
 * scout. Its invariant: it adds a reason for all that it can see or could not look at, and never
 * takes one away. Called by preparation and session.
 */
#include "config.h"

#include <errno.h>

#include "agent/counters.h"
#include "agent/evidence.h"

/* Writers stand still meanwhile, and a host waits for its answer. */
#define LOOK_TIMEOUT_MS 10000

struct SfEvidence {
	const SfPlanSource *source;
	SfScout *scout;
	SfCounters *counters;
	GArray *before;
	SfOutcome *outcome; /* of the look under way */
	SfEvidenceDone done;
	gpointer user_data;
};

SfEvidence *sf_evidence_new(const SfPlanSource *source, const char *const *mountpoints,
			    GError **error)
{
	SfScout *scout = sf_scout_start(source, mountpoints, NULL, error);
	SfEvidence *evidence;

	if (!scout)
		return NULL;
	evidence = g_new0(SfEvidence, 1);
	evidence->source = source;
	evidence->scout = scout;
	return evidence;
}

void sf_evidence_free(SfEvidence *evidence)
{
	if (!evidence)
		return;
	sf_scout_free(evidence->scout);
	sf_counters_free(evidence->counters);
	g_clear_pointer(&evidence->before, g_array_unref);
	g_free(evidence);
}

SfScout *sf_evidence_scout(SfEvidence *evidence)
{
	return evidence->scout;
}

bool sf_evidence_open(SfEvidence *evidence, const SfPlan *plan, GError **error)
{
	evidence->counters = sf_counters_open(plan, evidence->source->sys, error);
	return evidence->counters != NULL;
}

static void blame_reasons(SfOutcome *outcome, GVariant *reasons)
{
	for (gsize i = 0; i < g_variant_n_children(reasons); i++) {
		const char *reason;

		g_variant_get_child(reasons, i, "^&ay", &reason);
		sf_outcome_blame(outcome, "%s", reason);
	}
}

static void on_looked(GVariant *reasons, const GError *error, gpointer user_data)
{
	SfEvidence *evidence = user_data;

	if (error)
		sf_outcome_blame(evidence->outcome, "%s", error->message);
	else
		blame_reasons(evidence->outcome, reasons);
	evidence->done(evidence->user_data);
}

static void look(SfEvidence *evidence, SfScoutQuestion question, SfOutcome *outcome,
		 SfEvidenceDone done, gpointer user_data)
{
	evidence->outcome = outcome;
	evidence->done = done;
	evidence->user_data = user_data;
	sf_scout_ask(evidence->scout, question, LOOK_TIMEOUT_MS, on_looked, evidence);
}

void sf_evidence_take(SfEvidence *evidence, SfOutcome *outcome, SfEvidenceDone done,
		      gpointer user_data)
{
	g_clear_pointer(&evidence->before, g_array_unref);
	evidence->before = sf_counters_read(evidence->counters);
	look(evidence, SF_SCOUT_AFTER_FREEZE, outcome, done, user_data);
}

void sf_evidence_look(SfEvidence *evidence, SfOutcome *outcome, SfEvidenceDone done,
		      gpointer user_data)
{
	look(evidence, SF_SCOUT_BEFORE_THAW, outcome, done, user_data);
}

bool sf_evidence_is_looking(const SfEvidence *evidence)
{
	return sf_scout_is_asked(evidence->scout);
}

static void blame_foreign(const SfPlan *plan, const SfRecord *record, SfOutcome *outcome)
{
	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		if (atomic_load(&record->map->entries[i].state) == SF_ENTRY_FOREIGN)
			sf_outcome_blame(outcome,
					 "'%s' was frozen by somebody else, who may thaw it",
					 target->name);
	}
}

static void blame_writes(SfEvidence *evidence, const SfPlan *plan, const SfRecord *record,
			 SfOutcome *outcome)
{
	g_autoptr(GArray) after = sf_counters_read(evidence->counters);
	g_autoptr(GArray) written =
		sf_counters_compare(evidence->counters, evidence->before, after);

	for (guint i = 0; i < written->len; i++) {
		guint index = g_array_index(written, guint, i);
		const SfTarget *target = g_ptr_array_index(plan->targets, index);
		bool was_synced =
			atomic_load(&record->map->entries[index].state) == SF_ENTRY_SYNCED;
		sf_outcome_blame(outcome,
				 was_synced ? "'%s', which cannot freeze, was written since"
					    : "'%s' was written while frozen",
				 target->name);
	}
}

static void blame_unwatched(SfEvidence *evidence, const SfPlan *plan, SfOutcome *outcome)
{
	for (guint i = 0; i < plan->targets->len; i++)
		if (!sf_counters_is_watched(evidence->counters, evidence->before, i))
			sf_outcome_blame(
				outcome, "whether '%s' was written cannot be seen",
				((const SfTarget *)g_ptr_array_index(plan->targets, i))->name);
}

void sf_evidence_judge(SfEvidence *evidence, const SfPlan *plan, const SfRecord *record,
		       SfOutcome *outcome)
{
	blame_writes(evidence, plan, record, outcome);
	blame_unwatched(evidence, plan, outcome);
	blame_foreign(plan, record, outcome);
}

void sf_evidence_hear_thaw(const SfPlan *plan, const SfRecord *record, SfOutcome *outcome)
{
	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		const struct sf_record_entry *entry = &record->map->entries[i];
		if (atomic_load(&entry->state) != SF_ENTRY_THAWED)
			continue;
		if (atomic_load(&entry->error) == EINVAL)
			sf_outcome_blame(outcome, "'%s' was thawed by somebody else", target->name);
		else
			outcome->thawed++;
	}
}
