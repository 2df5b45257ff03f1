/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the watch over the mount tables of one freeze. Its invariant: each table is watched from
 * before it is read, so no change is missed. Called by scout-child only, in a process where it may
 * take its time.
 */
#include "config.h"

#include <libmount.h>
#include <poll.h>

#include "agent/left-out.h"
#include "agent/lookout.h"
#include "agent/superblocks.h"
#include "agent/target.h"
#include "protocol/error.h"

struct SfLookout {
	const SfPlanSource *source;
	const char *const *mountpoints;
	struct libmnt_monitor *monitor;
	int monitor_fd;
	SfPlan *plan;
	SfMounts *now;    /* (nullable): the plan's, until they were read again while frozen */
	GHashTable *held; /* set of char*: superblocks that stay what they are, being open */
};

SfLookout *sf_lookout_new(const SfPlanSource *source, const char *const *mountpoints)
{
	SfLookout *lookout = g_new0(SfLookout, 1);

	lookout->source = source;
	lookout->mountpoints = mountpoints;
	return lookout;
}

static bool watch_table(SfLookout *lookout, GError **error)
{
	lookout->monitor = mnt_new_monitor();
	if (!lookout->monitor || mnt_monitor_enable_kernel(lookout->monitor, 1) < 0)
		return sf_throw(error, "cannot watch the mount table");
	lookout->monitor_fd = mnt_monitor_get_fd(lookout->monitor);
	if (lookout->monitor_fd < 0)
		return sf_throw(error, "cannot watch the mount table");
	return true;
}

const SfPlan *sf_lookout_plan(SfLookout *lookout, GError **error)
{
	if (!lookout->monitor && !watch_table(lookout, error))
		return NULL;
	g_clear_pointer(&lookout->plan, sf_plan_free);
	lookout->plan = sf_plan_new(lookout->source, lookout->mountpoints, error);
	return lookout->plan;
}

static const SfMounts *latest_mounts(const SfLookout *lookout)
{
	return lookout->now ? lookout->now : lookout->plan->mounts;
}

/* Whether any table may have changed since the last call, or which there are. */
static bool have_changed(SfLookout *lookout, SfWhichProcesses which)
{
	struct pollfd polled = {.fd = lookout->monitor_fd, .events = POLLIN};
	bool others_changed = sf_namespaces_have_changed(latest_mounts(lookout), which);

	if (poll(&polled, 1, 0) != 1)
		return others_changed;
	mnt_monitor_event_cleanup(lookout->monitor);
	return true;
}

bool sf_lookout_check(SfLookout *lookout, SfWhichProcesses which, SfTablesChange *out_change,
		      GError **error)
{
	*out_change = SF_TABLES_UNCHANGED;
	if (!have_changed(lookout, which))
		return true;
	g_autoptr(SfPlan) plan = sf_plan_new(lookout->source, lookout->mountpoints, error);
	if (!plan)
		return false;
	*out_change = sf_plan_equal(plan, lookout->plan) ? SF_TABLES_EQUAL : SF_TABLES_OTHER;
	if (*out_change == SF_TABLES_EQUAL)
		sf_plan_take_mounts(lookout->plan, plan);
	return true;
}

void sf_lookout_note_open(SfLookout *lookout)
{
	g_clear_pointer(&lookout->held, g_hash_table_unref);
	lookout->held = sf_superblocks_find_held(lookout->source, lookout->plan);
}

static void blame(GPtrArray *reasons, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void blame(GPtrArray *reasons, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_ptr_array_add(reasons, g_strdup_vprintf(format, arguments));
	va_end(arguments);
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

static void blame_unfrozen(const SfMount *mount, GPtrArray *reasons)
{
	g_autofree char *name = sf_target_spell(mount->space, mount->path);

	blame(reasons, "'%s' (%s) is writable and was not frozen", name, mount->fstype);
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
static void blame_unplanned(const SfLookout *lookout, const SfMounts *mounts, GPtrArray *reasons)
{
	g_autoptr(GHashTable) planned = collect_devices(lookout->plan);

	for (guint i = 0; i < mounts->mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(mounts->mounts, i);
		const GPtrArray *superblock = sf_mounts_of_device(mounts, mount->device);

		if (g_ptr_array_index(superblock, 0) == mount &&
		    !g_hash_table_contains(planned, &mount->device) &&
		    !is_left_out(lookout->source, superblock))
			blame_unfrozen(mount, reasons);
	}
}

static void blame_changed_tables(SfLookout *lookout, GPtrArray *reasons)
{
	g_autoptr(GError) error = NULL;
	SfMounts *now;

	if (!have_changed(lookout, SF_PROCESSES_NEW))
		return;
	now = sf_namespaces_read(lookout->source, &error);
	if (!now) {
		blame(reasons, "the mount table changed and cannot be read: %s", error->message);
		return;
	}
	blame_unplanned(lookout, now, reasons);
	sf_mounts_free(lookout->now);
	lookout->now = now;
}

/* What the plan knew that it would not freeze, though nobody has excluded it by name. */
static void blame_other_namespaces(const SfLookout *lookout, GPtrArray *reasons)
{
	if (lookout->source->own_namespace_only)
		blame_unplanned(lookout, lookout->plan->mounts, reasons);
	else if (sf_namespaces_count_unread(lookout->plan->mounts) > 0)
		blame(reasons, "mount tables of other processes could not be read");
}

/* Unknown is what neither table has: one that was mounted since is in the table of now, and was
 * judged by it; one that was detached since was frozen all the same. */
static void blame_hidden_superblocks(const SfLookout *lookout, GPtrArray *reasons)
{
	const SfPlanSource *source = lookout->source;
	g_autoptr(GPtrArray) unknown =
		sf_superblocks_find_unknown(source, lookout->plan->mounts, lookout->held);

	if (unknown->len == 0)
		return;
	g_autoptr(SfMounts) now = sf_namespaces_read(source, NULL);
	g_autoptr(GPtrArray) unknown_now =
		now ? sf_superblocks_find_unknown(source, now, lookout->held) : NULL;
	for (guint i = 0; i < unknown->len; i++) {
		const char *name = g_ptr_array_index(unknown, i);
		if (!unknown_now ||
		    g_ptr_array_find_with_equal_func(unknown_now, name, g_str_equal, NULL))
			blame(reasons, "%s is mounted out of sight and was not frozen", name);
	}
}

/* Who named filesystems meant those, and no others. */
static GPtrArray *find_reasons(SfLookout *lookout, bool is_first)
{
	GPtrArray *reasons = g_ptr_array_new_with_free_func(g_free);

	if (!lookout->plan->is_whole)
		return reasons;
	blame_changed_tables(lookout, reasons);
	if (is_first)
		blame_other_namespaces(lookout, reasons);
	blame_hidden_superblocks(lookout, reasons);
	return reasons;
}

GPtrArray *sf_lookout_after_freeze(SfLookout *lookout)
{
	return find_reasons(lookout, true);
}

GPtrArray *sf_lookout_before_thaw(SfLookout *lookout)
{
	return find_reasons(lookout, false);
}
