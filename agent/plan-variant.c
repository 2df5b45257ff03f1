/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the form in which a plan goes from the process that made it to the agent. Invariant: what is
 * taken for a plan has all that sf_plan_new() promises of one. Called by scout-child, preparation
 * and recovery.
 */
#include "config.h"

#include "agent/left-out.h"
#include "agent/namespaces.h"
#include "agent/plan-variant.h"
#include "agent/target.h"
#include "protocol/error.h"

static GVariant *space_to_variant(const SfNamespace *space)
{
	if (!space)
		return g_variant_new_maybe(G_VARIANT_TYPE("(tiayay)"), NULL);
	return g_variant_new_maybe(NULL, g_variant_new("(ti^ay^ay)", (guint64)space->inode,
						       (gint32)space->pid, space->process,
						       space->command));
}

static SfNamespace *space_from_variant(GVariant *variant)
{
	g_autoptr(GVariant) content = g_variant_get_maybe(variant);
	g_autofree char *process = NULL;
	g_autofree char *command = NULL;
	guint64 inode;
	gint32 pid;

	if (!content)
		return NULL;
	g_variant_get(content, "(ti^ay^ay)", &inode, &pid, &process, &command);
	return sf_namespace_new(inode, pid, process, command);
}

static GVariant *routes_to_variant(const GArray *routes)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE(SF_PLAN_VARIANT_ROUTES));
	for (guint i = 0; i < routes->len; i++) {
		const SfRoute *route = &g_array_index(routes, SfRoute, i);

		g_variant_builder_add(&builder, "(^ayi@" SF_PLAN_VARIANT_SPACE ")", route->path,
				      (gint32)route->mount_id, space_to_variant(route->space));
	}
	return g_variant_builder_end(&builder);
}

static void read_routes(SfTarget *target, GVariant *routes)
{
	for (gsize i = 0; i < g_variant_n_children(routes); i++) {
		g_autoptr(GVariant) child = g_variant_get_child_value(routes, i);
		g_autoptr(GVariant) space = NULL;
		SfRoute route = {0};
		gint32 mount_id;

		g_variant_get(child, "(^ayi@" SF_PLAN_VARIANT_SPACE ")", &route.path, &mount_id,
			      &space);
		route.mount_id = mount_id;
		route.space = space_from_variant(space);
		g_array_append_val(target->routes, route);
	}
}

#define TARGET_FORMAT "(t@" SF_PLAN_VARIANT_SPACE "^ay^ayi@" SF_PLAN_VARIANT_ROUTES "^ay^ay@atb)"

static GVariant *target_to_variant(const SfTarget *target)
{
	GVariant *devices = g_variant_new_fixed_array(G_VARIANT_TYPE_UINT64, target->devices->data,
						      target->devices->len, sizeof(SfDevice));

	return g_variant_new(TARGET_FORMAT, (guint64)target->device,
			     space_to_variant(target->space), target->name, target->mountpoint,
			     (gint32)target->mount_id, routes_to_variant(target->routes),
			     target->fstype, target->source, devices,
			     (gboolean)target->backing_hidden);
}

static void read_devices(SfTarget *target, GVariant *devices)
{
	gsize n;
	const SfDevice *all = g_variant_get_fixed_array(devices, &n, sizeof(SfDevice));

	g_array_append_vals(target->devices, all, (guint)n);
}

static SfTarget *target_from_variant(GVariant *variant)
{
	SfTarget *target = sf_target_new_empty();
	g_autoptr(GVariant) space = NULL;
	g_autoptr(GVariant) routes = NULL;
	g_autoptr(GVariant) devices = NULL;
	gboolean backing_hidden;
	guint64 device;
	gint32 mount_id;

	g_variant_get(variant, TARGET_FORMAT, &device, &space, &target->name, &target->mountpoint,
		      &mount_id, &routes, &target->fstype, &target->source, &devices,
		      &backing_hidden);
	target->device = device;
	target->mount_id = mount_id;
	target->backing_hidden = backing_hidden;
	target->space = space_from_variant(space);
	read_routes(target, routes);
	read_devices(target, devices);
	return target;
}

static GVariant *left_out_to_variant(const SfLeftOut *left_out)
{
	return g_variant_new("(t^ay@" SF_PLAN_VARIANT_SPACE "^ay^ayu)", (guint64)left_out->device,
			     left_out->mountpoint, space_to_variant(left_out->space),
			     left_out->fstype, left_out->source, (guint32)left_out->reason);
}

static SfLeftOut *left_out_from_variant(GVariant *variant)
{
	SfLeftOut *left_out = g_new0(SfLeftOut, 1);
	g_autoptr(GVariant) space = NULL;
	guint64 device;
	guint32 reason;

	g_variant_get(variant, "(t^ay@" SF_PLAN_VARIANT_SPACE "^ay^ayu)", &device,
		      &left_out->mountpoint, &space, &left_out->fstype, &left_out->source, &reason);
	left_out->device = device;
	left_out->space = space_from_variant(space);
	left_out->reason = MIN(reason, (guint32)SF_LEFT_OUT_NAMESPACE);
	return left_out;
}

GVariant *sf_plan_to_variant(const SfPlan *plan)
{
	GVariantBuilder targets, edges, left_out;

	g_variant_builder_init(&targets, G_VARIANT_TYPE("a" SF_PLAN_VARIANT_TARGET));
	g_variant_builder_init(&edges, G_VARIANT_TYPE("a(qq)"));
	g_variant_builder_init(&left_out, G_VARIANT_TYPE("a" SF_PLAN_VARIANT_LEFT_OUT));
	for (guint i = 0; i < plan->targets->len; i++)
		g_variant_builder_add_value(&targets,
					    target_to_variant(g_ptr_array_index(plan->targets, i)));
	for (guint i = 0; i < plan->edges->len; i++) {
		const SfPlanEdge *edge = &g_array_index(plan->edges, SfPlanEdge, i);

		g_variant_builder_add(&edges, "(qq)", edge->before, edge->after);
	}
	for (guint i = 0; i < plan->left_out->len; i++) {
		const SfLeftOut *left = g_ptr_array_index(plan->left_out, i);

		if (sf_left_out_reason_is_uncovered(left->reason))
			g_variant_builder_add_value(&left_out, left_out_to_variant(left));
	}
	return g_variant_new("(@a" SF_PLAN_VARIANT_TARGET "@a(qq)@a" SF_PLAN_VARIANT_LEFT_OUT "b)",
			     g_variant_builder_end(&targets), g_variant_builder_end(&edges),
			     g_variant_builder_end(&left_out), (gboolean)plan->is_whole);
}

static bool read_targets(SfPlan *plan, GVariant *targets)
{
	gsize n = g_variant_n_children(targets);

	for (gsize i = 0; i < n && i < SF_PLAN_MAX_TARGETS; i++) {
		g_autoptr(GVariant) child = g_variant_get_child_value(targets, i);
		SfTarget *target = target_from_variant(child);

		g_ptr_array_add(plan->targets, target);
		if (target->routes->len == 0 || target->routes->len > SF_PLAN_MAX_ROUTES)
			return false;
	}
	return n <= SF_PLAN_MAX_TARGETS;
}

static bool read_edges(SfPlan *plan, GVariant *edges)
{
	gsize n = g_variant_n_children(edges);

	for (gsize i = 0; i < n && i < SF_PLAN_MAX_EDGES; i++) {
		SfPlanEdge edge;

		g_variant_get_child(edges, i, "(qq)", &edge.before, &edge.after);
		if (edge.before >= edge.after || edge.after >= plan->targets->len)
			return false;
		g_array_append_val(plan->edges, edge);
	}
	return n <= SF_PLAN_MAX_EDGES;
}

static void read_left_out(SfPlan *plan, GVariant *left_out)
{
	for (gsize i = 0; i < g_variant_n_children(left_out); i++) {
		g_autoptr(GVariant) child = g_variant_get_child_value(left_out, i);

		g_ptr_array_add(plan->left_out, left_out_from_variant(child));
	}
}

SfPlan *sf_plan_from_variant(GVariant *variant, GError **error)
{
	g_autoptr(SfPlan) plan = sf_plan_new_empty();
	g_autoptr(GVariant) targets = g_variant_get_child_value(variant, 0);
	g_autoptr(GVariant) edges = g_variant_get_child_value(variant, 1);
	g_autoptr(GVariant) left_out = g_variant_get_child_value(variant, 2);
	gboolean is_whole;

	g_variant_get_child(variant, 3, "b", &is_whole);
	plan->is_whole = is_whole;
	if (!read_targets(plan, targets) || !read_edges(plan, edges)) {
		sf_throw(error, "the process that plans has sent what is no plan");
		return NULL;
	}
	read_left_out(plan, left_out);
	return g_steal_pointer(&plan);
}
