/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the verdict on the last freeze. Its invariant: it is consistent only when somebody looked
 * and found nothing; all else is a reason. Called by session.
 */
#include "config.h"

#include <string.h>

#include "agent/outcome.h"

void sf_outcome_init(SfOutcome *outcome)
{
	*outcome = (SfOutcome){.reasons = g_ptr_array_new_with_free_func(g_free)};
}

void sf_outcome_clear(SfOutcome *outcome)
{
	g_clear_pointer(&outcome->channel, g_free);
	g_clear_pointer(&outcome->label, g_free);
	g_clear_pointer(&outcome->thawed_by, g_free);
	g_clear_pointer(&outcome->reasons, g_ptr_array_unref);
}

static uint64_t record_frozen_ms(const struct sf_record *map)
{
	uint64_t begun = atomic_load(&map->begun_ms), ended = atomic_load(&map->ended_ms);

	if (begun == 0)
		return 0;
	return (ended >= begun ? ended : sf_boottime_ms()) - begun;
}

void sf_outcome_load(SfOutcome *outcome, const SfRecord *record)
{
	const struct sf_record *map = record->map;
	enum sf_end end = atomic_load(&map->end);

	/* A freeze that failed, or was never begun, has told its host so: there is nothing to tell
	 * later. */
	if (map->id == 0 || atomic_load(&map->begun_ms) == 0 || end == SF_END_FAILED ||
	    end == SF_END_TIMEOUT)
		return;
	outcome->id = map->id;
	outcome->channel = g_strdup(map->channel);
	outcome->label = g_strdup(map->label);
	outcome->end = end;
	outcome->frozen_ms = record_frozen_ms(map);
	outcome->is_consistent = map->verdict == SF_VERDICT_CONSISTENT;
	if (outcome->is_consistent)
		outcome->thawed_by = g_strdup(map->channel);
	else if (map->verdict == SF_VERDICT_INCONSISTENT && map->reason[0])
		sf_outcome_blame(outcome, "%s", map->reason);
	else
		sf_outcome_blame(outcome, "%s",
				 end == SF_END_REQUEST ? "the agent died during the thaw"
						       : sf_end_describe(end));
}

void sf_outcome_blame(SfOutcome *outcome, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list arguments;

	va_start(arguments, format);
	reason = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	outcome->is_consistent = false;
	/* What was seen after the freeze is seen again before the thaw. */
	if (!g_ptr_array_find_with_equal_func(outcome->reasons, reason, g_str_equal, NULL))
		g_ptr_array_add(outcome->reasons, g_steal_pointer(&reason));
}

static char *join_reasons(const SfOutcome *outcome)
{
	g_ptr_array_add(outcome->reasons, NULL);
	char *joined = g_strjoinv("; ", (char **)outcome->reasons->pdata);
	g_ptr_array_set_size(outcome->reasons, (int)outcome->reasons->len - 1);
	return joined;
}

char *sf_outcome_describe(const SfOutcome *outcome)
{
	unsigned int seconds = (unsigned int)((outcome->frozen_ms + 500) / 1000);

	if (outcome->is_consistent)
		return NULL;
	if (outcome->end == SF_END_DEADLINE)
		return g_strdup_printf(
			"freeze expired after %u s: the snapshot may be inconsistent", seconds);
	g_autofree char *reasons = join_reasons(outcome);
	return g_strdup_printf(
		"freeze did not hold (after %u s: %s): the snapshot may be inconsistent", seconds,
		reasons);
}

void sf_outcome_settle(SfOutcome *outcome, SfRecord *record, const char *thawed_by)
{
	uint64_t ended = atomic_load(&record->map->ended_ms);

	outcome->end = atomic_load(&record->map->end);
	outcome->frozen_ms = record_frozen_ms(record->map);
	outcome->thaw_ms = ended ? sf_boottime_ms() - ended : 0;
	if (outcome->end == SF_END_REQUEST)
		outcome->thawed_by = g_strdup(thawed_by);
	else
		sf_outcome_blame(outcome, "%s", sf_end_describe(outcome->end));
	if (outcome->reasons->len > 0)
		outcome->is_consistent = false;
	else if (!outcome->is_consistent)
		sf_outcome_blame(outcome, "nobody has seen whether it held");
	g_autofree char *reasons = join_reasons(outcome);
	sf_record_set_verdict(record, outcome->is_consistent, reasons);
}

char *sf_outcome_complain(const SfOutcome *outcome, const char *channel)
{
	if (outcome->id == 0 || (*outcome->channel && strcmp(outcome->channel, channel) != 0))
		return NULL;
	if (!outcome->is_consistent)
		return sf_outcome_describe(outcome);
	if (g_strcmp0(outcome->thawed_by, channel) != 0)
		return g_strdup_printf(
			"freeze was thawed after %u s through channel '%s': the snapshot may "
			"be inconsistent",
			(unsigned int)((outcome->frozen_ms + 500) / 1000), outcome->thawed_by);
	return NULL;
}
