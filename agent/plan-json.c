/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns a plan's look on the wire. Paths need not be UTF-8, JSON must. Called by snapfreeze-plan. */
#include "config.h"

#include "agent/hook-list.h"
#include "agent/namespaces.h"
#include "agent/plan.h"

static void add_text(JsonBuilder *builder, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	json_builder_add_string_value(builder, valid);
}

static void add_member(JsonBuilder *builder, const char *name, const char *text)
{
	json_builder_set_member_name(builder, name);
	add_text(builder, text);
}

static void add_device(JsonBuilder *builder, SfDevice device)
{
	g_autofree char *text =
		g_strdup_printf("%u:%u", SF_DEVICE_MAJOR(device), SF_DEVICE_MINOR(device));

	json_builder_add_string_value(builder, text);
}

static void add_texts(JsonBuilder *builder, const char *name, const GPtrArray *texts)
{
	json_builder_set_member_name(builder, name);
	json_builder_begin_array(builder);
	for (guint i = 0; texts && i < texts->len; i++)
		add_text(builder, g_ptr_array_index(texts, i));
	json_builder_end_array(builder);
}

JsonNode *sf_namespace_to_json(const SfNamespace *space)
{
	JsonObject *object = json_object_new();
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	json_object_set_int_member(object, "inode", (gint64)space->inode);
	json_object_set_int_member(object, "pid", space->pid);
	json_object_set_string_member(object, "command", space->command);
	json_node_take_object(node, object);
	return node;
}

/* @space: (nullable): then there is nothing to add. */
static void add_namespace(JsonBuilder *builder, const SfNamespace *space)
{
	if (!space)
		return;
	json_builder_set_member_name(builder, "namespace");
	json_builder_add_value(builder, sf_namespace_to_json(space));
}

/* For each target the names of those that are frozen first: one pass over the edges. */
static GPtrArray *collect_before(const SfPlan *plan)
{
	GDestroyNotify free_list = (GDestroyNotify)g_ptr_array_unref;
	GPtrArray *lists = g_ptr_array_new_full(plan->targets->len, free_list);

	for (guint i = 0; i < plan->targets->len; i++)
		g_ptr_array_add(lists, g_ptr_array_new());
	for (guint i = 0; i < plan->edges->len; i++) {
		SfPlanEdge edge = g_array_index(plan->edges, SfPlanEdge, i);
		const SfTarget *before = g_ptr_array_index(plan->targets, edge.before);

		g_ptr_array_add(g_ptr_array_index(lists, edge.after), before->name);
	}
	return lists;
}

static void add_target(JsonBuilder *builder, const SfTarget *target, const GPtrArray *before)
{
	json_builder_begin_object(builder);
	add_member(builder, "mountpoint", target->mountpoint);
	add_member(builder, "device", target->source);
	json_builder_set_member_name(builder, "major-minor");
	add_device(builder, target->device);
	add_member(builder, "fstype", target->fstype);
	add_texts(builder, "mountpoints", target->mountpoints);
	json_builder_set_member_name(builder, "devices");
	json_builder_begin_array(builder);
	for (guint i = 0; i < target->devices->len; i++)
		add_device(builder, g_array_index(target->devices, SfDevice, i));
	json_builder_end_array(builder);
	add_texts(builder, "after", before);
	json_builder_set_member_name(builder, "backing-hidden");
	json_builder_add_boolean_value(builder, target->backing_hidden);
	add_namespace(builder, target->space);
	json_builder_end_object(builder);
}

static void add_left_out(JsonBuilder *builder, const SfLeftOut *left_out)
{
	json_builder_begin_object(builder);
	add_member(builder, "mountpoint", left_out->mountpoint);
	add_member(builder, "device", left_out->source);
	add_member(builder, "fstype", left_out->fstype);
	add_member(builder, "reason", sf_left_out_reason_name(left_out->reason));
	add_namespace(builder, left_out->space);
	json_builder_end_object(builder);
}

static void add_hook(JsonBuilder *builder, const SfHook *hook)
{
	json_builder_begin_object(builder);
	add_member(builder, "name", hook->name);
	add_member(builder, "path", hook->path);
	json_builder_set_member_name(builder, "session");
	json_builder_add_boolean_value(builder, hook->is_session);
	json_builder_end_object(builder);
}

JsonNode *sf_plan_to_json(const SfPlan *plan, const GPtrArray *hooks)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(GPtrArray) before = collect_before(plan);

	json_builder_begin_object(builder);
	json_builder_set_member_name(builder, "filesystems");
	json_builder_begin_array(builder);
	for (guint i = 0; i < plan->targets->len; i++)
		add_target(builder, g_ptr_array_index(plan->targets, i),
			   g_ptr_array_index(before, i));
	json_builder_end_array(builder);
	json_builder_set_member_name(builder, "left-out");
	json_builder_begin_array(builder);
	for (guint i = 0; i < plan->left_out->len; i++)
		add_left_out(builder, g_ptr_array_index(plan->left_out, i));
	json_builder_end_array(builder);
	json_builder_set_member_name(builder, "hooks");
	json_builder_begin_array(builder);
	for (guint i = 0; hooks && i < hooks->len; i++)
		add_hook(builder, g_ptr_array_index(hooks, i));
	json_builder_end_array(builder);
	if (plan->warnings)
		add_texts(builder, "warnings", plan->warnings);
	json_builder_end_object(builder);
	return json_builder_get_root(builder);
}
