/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The session as JSON. Holds no state, decides nothing. Called by agent/commands/snapfreeze.c. */
#include "config.h"

#include "agent/report.h"

static double milliseconds(uint32_t us)
{
	return us / 1000.0;
}

static JsonNode *object_node(JsonObject *object)
{
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	json_node_take_object(node, object);
	return node;
}

static const SfTarget *target_at(const SfPlan *plan, guint index)
{
	return g_ptr_array_index(plan->targets, index);
}

static JsonObject *describe_target(const SfTarget *target)
{
	JsonObject *object = json_object_new();

	json_object_set_string_member(object, "mountpoint", target->mountpoint);
	json_object_set_string_member(object, "device", target->source);
	json_object_set_string_member(object, "fstype", target->fstype);
	if (target->space)
		json_object_set_member(object, "namespace", sf_namespace_to_json(target->space));
	return object;
}

typedef void (*AddEntry)(JsonObject *object, const struct sf_record_entry *entry);

/* Of each planned filesystem what the record says of it, by @add. */
static JsonArray *describe_filesystems(const SfSession *session, AddEntry add)
{
	const SfPlan *plan = sf_session_plan(session);
	const struct sf_record *map = sf_session_record(session)->map;
	JsonArray *array = json_array_new();

	for (guint i = 0; plan && i < MIN(plan->targets->len, map->count); i++) {
		JsonObject *object = describe_target(target_at(plan, i));
		add(object, &map->entries[i]);
		json_array_add_object_element(array, object);
	}
	return array;
}

static void add_freeze(JsonObject *object, const struct sf_record_entry *entry)
{
	json_object_set_string_member(object, "result",
				      sf_entry_state_name(atomic_load(&entry->state)));
	json_object_set_double_member(object, "flush-ms",
				      milliseconds(atomic_load(&entry->flush_us)));
	json_object_set_double_member(object, "freeze-ms",
				      milliseconds(atomic_load(&entry->freeze_us)));
}

static void add_thaw(JsonObject *object, const struct sf_record_entry *entry)
{
	bool was_gone =
		atomic_load(&entry->state) == SF_ENTRY_THAWED && atomic_load(&entry->error) != 0;

	json_object_set_string_member(object, "result",
				      was_gone ? "not-frozen"
					       : sf_entry_state_name(atomic_load(&entry->state)));
	json_object_set_double_member(object, "thaw-ms",
				      milliseconds(atomic_load(&entry->thaw_us)));
}

static void add_state(JsonObject *object, const struct sf_record_entry *entry)
{
	json_object_set_string_member(object, "state",
				      sf_entry_state_name(atomic_load(&entry->state)));
}

static void add_uncovered(JsonArray *array, const char *mountpoint, const SfNamespace *space,
			  const char *fstype, const char *reason)
{
	JsonObject *object = json_object_new();

	json_object_set_string_member(object, "mountpoint", mountpoint);
	json_object_set_string_member(object, "fstype", fstype);
	json_object_set_string_member(object, "reason", reason);
	if (space)
		json_object_set_member(object, "namespace", sf_namespace_to_json(space));
	json_array_add_object_element(array, object);
}

/* What the snapshot holds, but not as of the moment of the freeze. */
static JsonArray *describe_uncovered(const SfSession *session)
{
	const SfPlan *plan = sf_session_plan(session);
	const struct sf_record *map = sf_session_record(session)->map;
	JsonArray *array = json_array_new();

	for (guint i = 0; plan && i < MIN(plan->targets->len, map->count); i++)
		if (atomic_load(&map->entries[i].state) == SF_ENTRY_SYNCED)
			add_uncovered(array, target_at(plan, i)->mountpoint,
				      target_at(plan, i)->space, target_at(plan, i)->fstype,
				      "synced");
	for (guint i = 0; plan && i < plan->left_out->len; i++) {
		const SfLeftOut *left = g_ptr_array_index(plan->left_out, i);
		if (sf_left_out_reason_is_uncovered(left->reason))
			add_uncovered(array, left->mountpoint, left->space, left->fstype,
				      sf_left_out_reason_name(left->reason));
	}
	return array;
}

static JsonArray *describe_reasons(const SfOutcome *outcome)
{
	JsonArray *array = json_array_new();

	for (guint i = 0; i < outcome->reasons->len; i++)
		json_array_add_string_element(array, g_ptr_array_index(outcome->reasons, i));
	return array;
}

static JsonNode *describe_status(const SfHookResult *result)
{
	JsonNode *node = json_node_new(result->status < 0 ? JSON_NODE_NULL : JSON_NODE_VALUE);

	if (result->status >= 0)
		json_node_set_int(node, result->status);
	return node;
}

static JsonArray *describe_hooks(const GPtrArray *results)
{
	JsonArray *array = json_array_new();

	for (guint i = 0; i < results->len; i++) {
		const SfHookResult *result = g_ptr_array_index(results, i);
		JsonObject *object = json_object_new();
		json_object_set_string_member(object, "name", result->name);
		json_object_set_int_member(object, "ms", (gint64)result->ms);
		json_object_set_member(object, "exit", describe_status(result));
		if (result->trouble)
			json_object_set_string_member(object, "error", result->trouble);
		json_array_add_object_element(array, object);
	}
	return array;
}

void sf_report_mark(const SfSession *session, JsonNode *reply)
{
	if (sf_session_is_rehearsal(session))
		json_object_set_boolean_member(json_node_get_object(reply), "rehearsal", TRUE);
}

JsonNode *sf_report_freeze(const SfSession *session)
{
	JsonObject *object = json_object_new();

	json_object_set_int_member(object, "id", sf_session_outcome(session)->id);
	json_object_set_int_member(object, "frozen", sf_session_frozen_count(session));
	json_object_set_int_member(object, "deadline-ms", (gint64)sf_session_left_ms(session));
	json_object_set_array_member(object, "filesystems",
				     describe_filesystems(session, add_freeze));
	json_object_set_array_member(object, "not-covered", describe_uncovered(session));
	json_object_set_array_member(object, "reasons",
				     describe_reasons(sf_session_outcome(session)));
	json_object_set_int_member(object, "flush-ms", (gint64)sf_session_flush_ms(session));
	json_object_set_int_member(object, "freeze-ms", (gint64)sf_session_freeze_ms(session));
	json_object_set_array_member(object, "hooks",
				     describe_hooks(sf_hooks_freezes(sf_session_hooks(session))));
	return object_node(object);
}

static void add_outcome(JsonObject *object, const SfOutcome *outcome)
{
	json_object_set_int_member(object, "id", outcome->id);
	json_object_set_boolean_member(object, "consistent", outcome->is_consistent);
	json_object_set_array_member(object, "reasons", describe_reasons(outcome));
	json_object_set_int_member(object, "frozen-ms", (gint64)outcome->frozen_ms);
}

/* A thaw of what was not frozen: what became of the freeze that this channel had. */
static void add_past(JsonObject *object, const SfOutcome *outcome, const char *channel)
{
	g_autofree char *complaint = sf_outcome_complain(outcome, channel);
	JsonArray *reasons = json_array_new();

	json_array_add_string_element(reasons, complaint ? complaint : "nothing was frozen");
	json_object_set_boolean_member(object, "consistent", FALSE);
	json_object_set_array_member(object, "reasons", reasons);
	json_object_set_int_member(object, "frozen-ms", complaint ? (gint64)outcome->frozen_ms : 0);
	json_object_set_int_member(object, "thawed", 0);
	json_object_set_array_member(object, "filesystems", json_array_new());
	json_object_set_array_member(object, "hooks", json_array_new());
}

JsonNode *sf_report_thaw(const SfSession *session, bool was_frozen, const char *channel)
{
	const SfOutcome *outcome = sf_session_outcome(session);
	JsonObject *object = json_object_new();

	if (!was_frozen) {
		add_past(object, outcome, channel);
		return object_node(object);
	}
	add_outcome(object, outcome);
	json_object_set_int_member(object, "thaw-ms", (gint64)outcome->thaw_ms);
	json_object_set_int_member(object, "thawed", outcome->thawed);
	json_object_set_array_member(object, "filesystems",
				     describe_filesystems(session, add_thaw));
	json_object_set_array_member(object, "hooks",
				     describe_hooks(sf_hooks_thaws(sf_session_hooks(session))));
	return object_node(object);
}

JsonNode *sf_report_extend(const SfSession *session)
{
	JsonObject *object = json_object_new();

	json_object_set_int_member(object, "deadline-ms", (gint64)sf_session_left_ms(session));
	return object_node(object);
}

static void add_current(JsonObject *object, const SfSession *session)
{
	const SfOutcome *outcome = sf_session_outcome(session);
	uint64_t begun = atomic_load(&sf_session_record(session)->map->begun_ms);

	json_object_set_int_member(object, "id", outcome->id);
	json_object_set_string_member(object, "label", outcome->label ? outcome->label : "");
	if (sf_state_is_frozen(sf_session_state(session)) && begun)
		json_object_set_int_member(object, "age-ms", (gint64)(sf_boottime_ms() - begun));
	json_object_set_int_member(object, "left-ms", (gint64)sf_session_left_ms(session));
	json_object_set_array_member(object, "filesystems",
				     describe_filesystems(session, add_state));
}

static void add_last(JsonObject *object, const SfOutcome *outcome)
{
	JsonObject *last = json_object_new();

	add_outcome(last, outcome);
	json_object_set_string_member(last, "channel", outcome->channel);
	if (outcome->label && *outcome->label)
		json_object_set_string_member(last, "label", outcome->label);
	json_object_set_object_member(object, "last", last);
}

JsonNode *sf_report_status(const SfSession *session)
{
	const SfState *state = sf_session_state(session);
	const SfOutcome *outcome = sf_session_outcome(session);
	JsonObject *object = json_object_new();
	bool is_idle = state->name == SF_STATE_THAWED || state->name == SF_STATE_EXPIRED;

	json_object_set_string_member(object, "state", sf_state_describe(state));
	if (!is_idle)
		add_current(object, session);
	else if (outcome->id != 0)
		add_last(object, outcome);
	return object_node(object);
}
