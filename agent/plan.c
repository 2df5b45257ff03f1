/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns plans: which superblocks are frozen, in which order, and which are not and why. Invariant of
 * a finished plan: targets are in freezing order, so every edge goes from a lower index to a higher
 * one, and edges are sorted. Called by the session and by snapfreeze-plan.
 */
#include "config.h"

#include <malloc.h>
#include <string.h>

#include "agent/backing.h"
#include "agent/left-out.h"
#include "agent/members.h"
#include "agent/named.h"
#include "agent/namespaces.h"
#include "agent/order.h"
#include "agent/plan.h"
#include "agent/target.h"
#include "agent/warnings.h"
#include "protocol/error.h"

/* How much of a cycle an error spells out. */
#define MAX_NAMED 8
#define LARGE_PLAN 2000

/* A plan that is being made. */
typedef struct {
	const SfPlanSource *source;
	const SfMounts *mounts;
	GHashTable *named; /* (nullable): set of SfDevice*, what the request named */
	SfPlan *plan;
	GPtrArray *firsts;   /* of SfMount: each target's first mount */
	GHashTable *numbers; /* SfDevice* -> the index of the target, plus one */
} Maker;

struct SfPlanDetails {
	SfMounts *mounts;
	GPtrArray *left_out;
	GPtrArray *mountpoints; /* of GPtrArray of char* */
};

static GPtrArray *left_out_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)sf_left_out_free);
}

SfPlan *sf_plan_new_empty(void)
{
	SfPlan *plan = g_new0(SfPlan, 1);

	plan->targets = g_ptr_array_new_with_free_func((GDestroyNotify)sf_target_free);
	plan->edges = g_array_new(FALSE, FALSE, sizeof(SfPlanEdge));
	plan->left_out = left_out_new();
	return plan;
}

SfPlanDetails *sf_plan_steal_details(SfPlan *plan)
{
	SfPlanDetails *details = g_new0(SfPlanDetails, 1);

	details->mounts = g_steal_pointer(&plan->mounts);
	details->left_out = plan->left_out;
	plan->left_out = left_out_new();
	details->mountpoints = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
	for (guint i = 0; i < plan->targets->len; i++) {
		SfTarget *target = g_ptr_array_index(plan->targets, i);

		if (target->mountpoints)
			g_ptr_array_add(details->mountpoints,
					g_steal_pointer(&target->mountpoints));
	}
	return details;
}

void sf_plan_details_free(SfPlanDetails *details)
{
	guint n = details->left_out->len;

	for (guint i = 0; i < details->mountpoints->len; i++)
		n += ((GPtrArray *)g_ptr_array_index(details->mountpoints, i))->len;
	sf_mounts_free(details->mounts);
	g_ptr_array_unref(details->left_out);
	g_ptr_array_unref(details->mountpoints);
	g_free(details);
	/* So many paths that their memory is worth giving back at once. */
	if (n > LARGE_PLAN)
		malloc_trim(0);
}

void sf_plan_free(SfPlan *plan)
{
	SfPlanDetails *details;

	if (!plan)
		return;
	details = sf_plan_steal_details(plan);
	g_ptr_array_unref(plan->targets);
	g_array_unref(plan->edges);
	g_ptr_array_unref(plan->left_out);
	g_clear_pointer(&plan->warnings, g_ptr_array_unref);
	g_free(plan);
	sf_plan_details_free(details);
}

void sf_plan_close(SfPlan *plan)
{
	for (guint i = 0; i < plan->targets->len; i++)
		sf_target_close(g_ptr_array_index(plan->targets, i));
}

static bool add_target(Maker *maker, const GPtrArray *superblock, GError **error)
{
	SfPlan *plan = maker->plan;
	SfTarget *target = sf_target_new(superblock, error);

	if (!target)
		return false;
	g_ptr_array_add(plan->targets, target);
	g_ptr_array_add(maker->firsts, g_ptr_array_index(superblock, 0));
	g_hash_table_insert(maker->numbers, &target->device, GUINT_TO_POINTER(plan->targets->len));
	if (plan->targets->len > SF_PLAN_MAX_TARGETS)
		return sf_throw(error, "more than %d filesystems to freeze", SF_PLAN_MAX_TARGETS);
	return true;
}

static bool add_superblock(Maker *maker, const GPtrArray *superblock, GError **error)
{
	const SfMount *first = g_ptr_array_index(superblock, 0);
	SfLeftOutReason reason;
	bool is_left_out = sf_left_out_find_reason(maker->source, superblock, &reason);

	if (!is_left_out && maker->named && !g_hash_table_contains(maker->named, &first->device)) {
		is_left_out = true;
		reason = SF_LEFT_OUT_NOT_NAMED;
	}
	if (!is_left_out)
		return add_target(maker, superblock, error);
	g_ptr_array_add(maker->plan->left_out, sf_left_out_new(superblock, reason));
	return true;
}

/* In table order: a superblock stands where its first mount does. */
static bool add_superblocks(Maker *maker, GError **error)
{
	const GPtrArray *all = maker->mounts->mounts;

	for (guint i = 0; i < all->len; i++) {
		const SfMount *mount = g_ptr_array_index(all, i);
		const GPtrArray *superblock = sf_mounts_of_device(maker->mounts, mount->device);

		if (g_ptr_array_index(superblock, 0) == mount &&
		    !add_superblock(maker, superblock, error))
			return false;
	}
	return true;
}

/* What a target's device lies on; only what is frozen too makes an edge. */
static bool add_edges(Maker *maker, guint number, const SfBacking *backing, GHashTable *seen,
		      GError **error)
{
	for (guint i = 0; i < backing->holders->len; i++) {
		SfDevice *holder = &g_array_index(backing->holders, SfDevice, i);
		guint found = GPOINTER_TO_UINT(g_hash_table_lookup(maker->numbers, holder));
		SfPlanEdge edge = {.before = number, .after = found - 1};

		if (found == 0 || edge.after == edge.before ||
		    !g_hash_table_add(seen, GUINT_TO_POINTER(found)))
			continue;
		if (maker->plan->edges->len == SF_PLAN_MAX_EDGES)
			return sf_throw(error, "more than %d dependencies between filesystems",
					SF_PLAN_MAX_EDGES);
		g_array_append_val(maker->plan->edges, edge);
	}
	return true;
}

static bool follow_devices(Maker *maker, guint number, SfBackings *backings, const GArray *devices,
			   GHashTable *seen, GError **error)
{
	SfTarget *target = g_ptr_array_index(maker->plan->targets, number);

	for (guint i = 0; i < devices->len; i++) {
		const SfBacking *backing =
			sf_backings_get(backings, g_array_index(devices, SfDevice, i));

		target->backing_hidden |= backing->is_hidden;
		if (!add_edges(maker, number, backing, seen, error))
			return false;
	}
	return true;
}

static bool find_dependencies(Maker *maker, GError **error)
{
	const SfPlanSource *source = maker->source;
	g_autoptr(SfBlockdevs) blockdevs = sf_blockdevs_new(source->sys, source->dev);
	g_autoptr(SfBackings) backings = sf_backings_new(source->dev, maker->mounts, blockdevs);
	g_autoptr(SfMembersIndex) index =
		sf_members_index_new(source->proc, source->sys, maker->mounts, blockdevs);

	for (guint i = 0; i < maker->plan->targets->len; i++) {
		SfTarget *target = g_ptr_array_index(maker->plan->targets, i);
		g_autoptr(SfMembers) members =
			sf_members_find(index, g_ptr_array_index(maker->firsts, i));
		g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

		target->backing_hidden = !members->is_whole;
		g_array_append_vals(target->devices, members->devices->data, members->devices->len);
		if (!follow_devices(maker, i, backings, members->devices, seen, error) ||
		    !follow_devices(maker, i, backings, members->possible, seen, error))
			return false;
	}
	return true;
}

static bool throw_cycle(const SfPlan *plan, const GArray *cycle, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < cycle->len && i < MAX_NAMED; i++) {
		const SfTarget *target =
			g_ptr_array_index(plan->targets, g_array_index(cycle, guint, i));

		g_string_append_printf(text, "%s'%s'", i > 0 ? ", " : "", target->name);
	}
	if (cycle->len > MAX_NAMED)
		g_string_append_printf(text, " and %u more", cycle->len - MAX_NAMED);
	return sf_throw(error, "there is no order to freeze in: each of these lies on the next: %s",
			text->str);
}

static int compare_edges(gconstpointer a, gconstpointer b)
{
	const SfPlanEdge *left = a, *right = b;

	if (left->before != right->before)
		return left->before < right->before ? -1 : 1;
	return left->after < right->after ? -1 : left->after > right->after;
}

static void apply_order(SfPlan *plan, const GArray *order)
{
	g_autofree uint16_t *place = g_new(uint16_t, order->len + 1);
	g_autofree gpointer *old = g_new(gpointer, order->len + 1);

	for (guint i = 0; i < order->len; i++)
		old[i] = plan->targets->pdata[i];
	for (guint i = 0; i < order->len; i++) {
		guint number = g_array_index(order, guint, i);

		place[number] = i;
		plan->targets->pdata[i] = old[number];
	}
	for (guint i = 0; i < plan->edges->len; i++) {
		SfPlanEdge *edge = &g_array_index(plan->edges, SfPlanEdge, i);

		edge->before = place[edge->before];
		edge->after = place[edge->after];
	}
	g_array_sort(plan->edges, compare_edges);
}

static bool has_other_space(const SfPlan *plan)
{
	for (guint i = 0; i < plan->targets->len; i++)
		if (((const SfTarget *)g_ptr_array_index(plan->targets, i))->space)
			return true;
	return false;
}

/* When something was mounted can be told of the own table only: with others, what may lie on
 * anything goes before all that does not, wherever it was mounted. */
static bool order_targets(SfPlan *plan, GError **error)
{
	g_autofree SfOrderNode *nodes = g_new(SfOrderNode, plan->targets->len + 1);
	g_autoptr(GArray) order = NULL;
	g_autoptr(GArray) cycle = NULL;
	guint lead = has_other_space(plan) ? plan->targets->len : 0;

	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);

		nodes[i] = (SfOrderNode){.mounted = i, .is_barrier = target->backing_hidden};
		if (target->backing_hidden)
			nodes[i].mounted += lead;
	}
	if (!sf_order_sort(nodes, plan->targets->len, plan->edges, &order, &cycle))
		return throw_cycle(plan, cycle, error);
	apply_order(plan, order);
	return true;
}

static bool make(Maker *maker, const char *const *mountpoints, GError **error)
{
	maker->plan->is_whole = mountpoints == NULL;
	if (mountpoints) {
		maker->named = sf_named_find(maker->source, maker->mounts, mountpoints, error);
		if (!maker->named)
			return false;
	}
	return add_superblocks(maker, error) && find_dependencies(maker, error) &&
	       order_targets(maker->plan, error);
}

SfPlan *sf_plan_new(const SfPlanSource *source, const char *const *mountpoints, GError **error)
{
	g_autoptr(SfMounts) mounts = sf_namespaces_read(source, error);
	g_autoptr(SfPlan) plan = sf_plan_new_empty();
	Maker maker = {.source = source, .mounts = mounts, .plan = plan};
	bool is_made;

	if (!mounts)
		return NULL;
	maker.firsts = g_ptr_array_new();
	maker.numbers = g_hash_table_new(g_int64_hash, g_int64_equal);
	is_made = make(&maker, mountpoints, error);
	g_ptr_array_unref(maker.firsts);
	g_hash_table_unref(maker.numbers);
	g_clear_pointer(&maker.named, g_hash_table_unref);
	if (!is_made)
		return NULL;
	plan->mounts = g_steal_pointer(&mounts);
	return g_steal_pointer(&plan);
}

void sf_plan_find_warnings(SfPlan *plan, const SfPlanSource *source)
{
	g_clear_pointer(&plan->warnings, g_ptr_array_unref);
	plan->warnings = sf_warnings_find(source, plan->mounts);
}

void sf_plan_take_mounts(SfPlan *plan, SfPlan *newer)
{
	sf_mounts_free(plan->mounts);
	plan->mounts = g_steal_pointer(&newer->mounts);
}

bool sf_plan_equal(const SfPlan *a, const SfPlan *b)
{
	if (a->targets->len != b->targets->len || a->edges->len != b->edges->len)
		return false;
	for (guint i = 0; i < a->targets->len; i++) {
		const SfTarget *left = g_ptr_array_index(a->targets, i);
		const SfTarget *right = g_ptr_array_index(b->targets, i);

		if (left->device != right->device || left->mount_id != right->mount_id ||
		    left->backing_hidden != right->backing_hidden ||
		    !g_str_equal(left->mountpoint, right->mountpoint) ||
		    !sf_namespace_equal(left->space, right->space))
			return false;
	}
	return a->edges->len == 0 ||
	       memcmp(a->edges->data, b->edges->data, a->edges->len * sizeof(SfPlanEdge)) == 0;
}
