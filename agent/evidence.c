/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what is watched while a snapshot is taken. Its invariant: it adds a reason for all that it
 * can see, and never takes one away. Called by preparation and session.
 */
#include "config.h"

#include <errno.h>
#include <libmount.h>
#include <poll.h>

#include "agent/counters.h"
#include "agent/evidence.h"
#include "agent/left-out.h"
#include "agent/superblocks.h"
#include "agent/target.h"
#include "protocol/error.h"

struct SfEvidence {
	const SfPlanSource *source;
	struct libmnt_monitor *monitor;
	int monitor_fd;
	SfCounters *counters;
	SfMounts *now;    /* (nullable): the plan's, until they were read again */
	GHashTable *held; /* set of char*: superblocks that stay what they are, being open */
	GArray *before;
};

static bool watch_table(SfEvidence *evidence, GError **error)
{
	evidence->monitor = mnt_new_monitor();
	if (!evidence->monitor || mnt_monitor_enable_kernel(evidence->monitor, 1) < 0)
		return sf_throw(error, "cannot watch the mount table");
	evidence->monitor_fd = mnt_monitor_get_fd(evidence->monitor);
	if (evidence->monitor_fd < 0)
		return sf_throw(error, "cannot watch the mount table");
	return true;
}

SfEvidence *sf_evidence_new(const SfPlanSource *source, GError **error)
{
	g_autoptr(SfEvidence) evidence = g_new0(SfEvidence, 1);

	evidence->source = source;
	return watch_table(evidence, error) ? g_steal_pointer(&evidence) : NULL;
}

void sf_evidence_free(SfEvidence *evidence)
{
	if (!evidence)
		return;
	if (evidence->monitor)
		mnt_unref_monitor(evidence->monitor);
	sf_mounts_free(evidence->now);
	sf_counters_free(evidence->counters);
	g_clear_pointer(&evidence->held, g_hash_table_unref);
	g_clear_pointer(&evidence->before, g_array_unref);
	g_free(evidence);
}

bool sf_evidence_table_changed(SfEvidence *evidence, const SfMounts *mounts, SfWhichProcesses which)
{
	struct pollfd polled = {.fd = evidence->monitor_fd, .events = POLLIN};
	bool others_changed = mounts && sf_namespaces_have_changed(mounts, which);

	if (poll(&polled, 1, 0) != 1)
		return others_changed;
	mnt_monitor_event_cleanup(evidence->monitor);
	return true;
}

bool sf_evidence_open(SfEvidence *evidence, const SfPlan *plan, GError **error)
{
	g_clear_pointer(&evidence->held, g_hash_table_unref);
	evidence->held = sf_superblocks_find_held(evidence->source, plan);
	evidence->counters = sf_counters_open(plan, evidence->source->sys, error);
	return evidence->counters != NULL;
}

/* Of keys that lie in the plan. */
static GHashTable *collect_devices(const SfPlan *plan)
{
	GHashTable *devices = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = 0; i < plan->targets->len; i++) {
		SfTarget *target = g_ptr_array_index(plan->targets, i);

		g_hash_table_add(devices, &target->device);
	}
	return devices;
}

static void blame_unfrozen(const SfMount *mount, SfOutcome *outcome)
{
	g_autofree char *name = sf_target_spell(mount->space, mount->path);

	sf_outcome_blame(outcome, "'%s' (%s) is writable and was not frozen", name, mount->fstype);
}

static bool is_left_out(const SfPlanSource *source, const GPtrArray *superblock)
{
	SfLeftOutReason reason;

	/* What the own namespace does not show counts, for as little as it is frozen. */
	return sf_left_out_find_reason(source, superblock, &reason) &&
	       reason != SF_LEFT_OUT_NAMESPACE;
}

/* What a plan made now would freeze and the one that was made does not. No plan is made: what has
 * been covered since has no path that leads to it, and is frozen all the same. */
static void blame_unplanned(const SfPlanSource *source, const SfMounts *mounts, const SfPlan *plan,
			    SfOutcome *outcome)
{
	g_autoptr(GHashTable) planned = collect_devices(plan);

	for (guint i = 0; i < mounts->mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(mounts->mounts, i);
		const GPtrArray *superblock = sf_mounts_of_device(mounts, mount->device);

		if (g_ptr_array_index(superblock, 0) == mount &&
		    !g_hash_table_contains(planned, &mount->device) &&
		    !is_left_out(source, superblock))
			blame_unfrozen(mount, outcome);
	}
}

static void blame_unread(const SfMounts *mounts, SfOutcome *outcome)
{
	if (sf_namespaces_count_unread(mounts) > 0)
		sf_outcome_blame(outcome, "mount tables of other processes could not be read");
}

static const SfMounts *latest_mounts(const SfEvidence *evidence, const SfPlan *plan)
{
	return evidence->now ? evidence->now : plan->mounts;
}

static void blame_changed_table(SfEvidence *evidence, const SfPlan *plan, SfOutcome *outcome)
{
	g_autoptr(GError) error = NULL;
	SfMounts *now;

	/* Who named filesystems meant those, and no others. */
	if (!plan->is_whole ||
	    !sf_evidence_table_changed(evidence, latest_mounts(evidence, plan), SF_PROCESSES_NEW))
		return;
	now = sf_namespaces_read(evidence->source, &error);
	if (!now) {
		sf_outcome_blame(outcome, "the mount table changed and cannot be read: %s",
				 error->message);
		return;
	}
	blame_unplanned(evidence->source, now, plan, outcome);
	sf_mounts_free(evidence->now);
	evidence->now = now;
}

/* What the plan knew that it would not freeze, though nobody has excluded it by name. */
static void blame_other_namespaces(const SfEvidence *evidence, const SfPlan *plan,
				   SfOutcome *outcome)
{
	if (!plan->is_whole)
		return;
	if (evidence->source->own_namespace_only)
		blame_unplanned(evidence->source, plan->mounts, plan, outcome);
	else
		blame_unread(plan->mounts, outcome);
}

/* Unknown is what neither table has: one that was mounted since is in the table of now, and was
 * judged by it; one that was detached since was frozen all the same. */
static void blame_hidden_superblocks(SfEvidence *evidence, const SfPlan *plan, SfOutcome *outcome)
{
	const SfPlanSource *source = evidence->source;

	if (!plan->is_whole)
		return;
	g_autoptr(GPtrArray) unknown =
		sf_superblocks_find_unknown(source, plan->mounts, evidence->held);
	if (unknown->len == 0)
		return;
	g_autoptr(SfMounts) now = sf_namespaces_read(source, NULL);
	g_autoptr(GPtrArray) unknown_now =
		now ? sf_superblocks_find_unknown(source, now, evidence->held) : NULL;
	for (guint i = 0; i < unknown->len; i++) {
		const char *name = g_ptr_array_index(unknown, i);
		if (!unknown_now ||
		    g_ptr_array_find_with_equal_func(unknown_now, name, g_str_equal, NULL))
			sf_outcome_blame(outcome, "%s is mounted out of sight and was not frozen",
					 name);
	}
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

void sf_evidence_take(SfEvidence *evidence, const SfPlan *plan, SfOutcome *outcome)
{
	g_clear_pointer(&evidence->before, g_array_unref);
	evidence->before = sf_counters_read(evidence->counters);
	blame_changed_table(evidence, plan, outcome);
	blame_other_namespaces(evidence, plan, outcome);
	blame_hidden_superblocks(evidence, plan, outcome);
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
	blame_changed_table(evidence, plan, outcome);
	blame_hidden_superblocks(evidence, plan, outcome);
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
