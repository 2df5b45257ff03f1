/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The answers to status, freeze and thaw, told to people. They share the table of filesystems, what
 * is not covered, and the look of a state; cmd-freeze, hold, cmd-thaw and cmd-status call them. */
#include "config.h"

#include "client/format.h"
#include "client/reply.h"
#include "client/report.h"
#include "client/table.h"
#include "protocol/message.h"

static SfStyle style_of(const char *result)
{
	static const struct {
		const char *result;
		SfStyle style;
	} styles[] = {
		{"frozen", SF_STYLE_GOOD},    {"thawed", SF_STYLE_GOOD},
		{"synced", SF_STYLE_WARNING}, {"foreign", SF_STYLE_BAD},
		{"failed", SF_STYLE_BAD},     {"expired", SF_STYLE_BAD},
		{"draining", SF_STYLE_BAD},   {"freezing", SF_STYLE_PLAIN},
		{"planned", SF_STYLE_DIM},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(styles); i++) {
		if (g_strcmp0(result, styles[i].result) == 0)
			return styles[i].style;
	}
	return SF_STYLE_PLAIN;
}

static void say_styled(SfInvocation *invocation, SfStyle style, const char *text)
{
	g_autofree char *safe = sf_escape(text, invocation->look.utf8);

	sf_print_styled(invocation->out, invocation->look, style, safe);
}

static void add_duration(SfTable *table, JsonObject *object, const char *name)
{
	sf_table_take(table, SF_STYLE_PLAIN, sf_reply_duration(object, name));
}

/* Status, freeze and thaw list filesystems alike; a column that none of them has is left out. */
static void print_filesystems(SfInvocation *invocation, JsonArray *filesystems, const char *result)
{
	const SfColumn columns[] = {
		{"MOUNT POINT"}, {"TYPE"},         {"DEVICE"},     {"RESULT"},
		{"FLUSH", true}, {"FREEZE", true}, {"THAW", true}, {NULL},
	};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);

	for (unsigned int i = 0; i < sf_reply_length(filesystems); i++) {
		JsonObject *filesystem = sf_reply_object_at(filesystems, i);
		g_autofree char *place = sf_reply_place(filesystem);
		const char *outcome = sf_reply_string(filesystem, result);

		sf_table_add(table, SF_STYLE_PLAIN, place);
		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(filesystem, "fstype"));
		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(filesystem, "device"));
		sf_table_add(table, style_of(outcome), outcome);
		add_duration(table, filesystem, "flush-ms");
		add_duration(table, filesystem, "freeze-ms");
		add_duration(table, filesystem, "thaw-ms");
	}
	if (!sf_table_is_empty(table))
		sf_table_print(table, invocation->out);
}

void sf_report_not_covered(SfInvocation *invocation, JsonObject *reply)
{
	JsonArray *not_covered = sf_reply_array(reply, "not-covered");
	const SfColumn columns[] = {{"MOUNT POINT"}, {"TYPE"}, {"WHY"}, {NULL}};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);

	for (unsigned int i = 0; i < sf_reply_length(not_covered); i++) {
		JsonObject *filesystem = sf_reply_object_at(not_covered, i);
		g_autofree char *place = sf_reply_place(filesystem);

		sf_table_add(table, SF_STYLE_PLAIN, place);
		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(filesystem, "fstype"));
		sf_table_add(table, SF_STYLE_WARNING, sf_reply_string(filesystem, "reason"));
	}
	if (sf_table_is_empty(table))
		return;
	g_string_append(invocation->out, "\nNot covered by this freeze:\n");
	sf_table_print(table, invocation->out);
}

static void print_hooks(SfInvocation *invocation, JsonArray *hooks)
{
	const SfColumn columns[] = {{"HOOK"}, {"TOOK", true}, {"EXIT", true}, {"WHY"}, {NULL}};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);

	for (unsigned int i = 0; i < sf_reply_length(hooks); i++) {
		JsonObject *hook = sf_reply_object_at(hooks, i);
		int64_t status = 0;
		bool has_status = sf_reply_integer(hook, "exit", &status);

		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(hook, "name"));
		add_duration(table, hook, "ms");
		sf_table_take(table, status ? SF_STYLE_BAD : SF_STYLE_PLAIN,
			      has_status ? g_strdup_printf("%" G_GINT64_FORMAT, status)
					 : g_strdup(""));
		sf_table_add(table, SF_STYLE_BAD, sf_reply_string(hook, "error"));
	}
	if (sf_table_is_empty(table))
		return;
	g_string_append_c(invocation->out, '\n');
	sf_table_print(table, invocation->out);
}

/* Appends ", WORD DURATION" where the reply has that member. */
static void append_duration(SfInvocation *invocation, JsonObject *reply, const char *name,
			    const char *words)
{
	g_autofree char *duration = sf_reply_duration(reply, name);

	if (*duration)
		g_string_append_printf(invocation->out, ", %s %s", words, duration);
}

static void append_id(SfInvocation *invocation, JsonObject *reply)
{
	const char *label = sf_reply_string(reply, "label");
	int64_t id;

	if (sf_reply_integer(reply, "id", &id))
		g_string_append_printf(invocation->out, ", id %" G_GINT64_FORMAT, id);
	if (label) {
		g_string_append(invocation->out, ", label ");
		say_styled(invocation, SF_STYLE_PLAIN, label);
	}
}

void sf_report_rehearsal(SfInvocation *invocation, JsonObject *reply)
{
	if (!sf_reply_is_true(reply, "rehearsal"))
		return;
	say_styled(invocation, SF_STYLE_WARNING, "A rehearsal: nothing is really frozen.");
	g_string_append_c(invocation->out, '\n');
}

void sf_report_reasons(SfInvocation *invocation, JsonObject *reply)
{
	JsonArray *reasons = sf_reply_array(reply, "reasons");

	for (unsigned int i = 0; i < sf_reply_length(reasons); i++) {
		const char *reason = sf_reply_string_at(reasons, i);

		g_string_append(invocation->out, "  ");
		say_styled(invocation, SF_STYLE_PLAIN, reason ? reason : "?");
		g_string_append_c(invocation->out, '\n');
	}
}

static void print_verdict(SfInvocation *invocation, JsonObject *reply)
{
	if (sf_reply_is_true(reply, "consistent"))
		say_styled(invocation, SF_STYLE_GOOD, "consistent");
	else if (sf_reply_is_false(reply, "consistent"))
		say_styled(invocation, SF_STYLE_BAD, "NOT CONSISTENT");
	else
		say_styled(invocation, SF_STYLE_WARNING, "consistency unknown");
}

static void print_last(SfInvocation *invocation, JsonObject *last)
{
	if (!last)
		return;
	g_string_append(invocation->out, "Last freeze: ");
	print_verdict(invocation, last);
	append_duration(invocation, last, "frozen-ms", "frozen for");
	append_id(invocation, last);
	g_string_append_c(invocation->out, '\n');
	sf_report_reasons(invocation, last);
}

void sf_report_status(SfInvocation *invocation, JsonNode *node)
{
	JsonObject *reply = sf_reply_root(node);
	const char *state = sf_reply_string(reply, "state");

	if (invocation->json) {
		sf_print_json(invocation, node);
		return;
	}
	sf_report_rehearsal(invocation, reply);
	say_styled(invocation, SF_STYLE_BOLD, state ? state : "state unknown");
	append_duration(invocation, reply, "age-ms", "for");
	append_duration(invocation, reply, "left-ms", "thaws by itself in");
	append_id(invocation, reply);
	g_string_append_c(invocation->out, '\n');
	print_filesystems(invocation, sf_reply_array(reply, "filesystems"), "state");
	print_last(invocation, sf_reply_object(reply, "last"));
}

void sf_report_freeze(SfInvocation *invocation, JsonNode *node)
{
	JsonObject *reply = sf_reply_root(node);
	int64_t frozen = 0;

	if (invocation->json) {
		sf_print_json(invocation, node);
		return;
	}
	sf_report_rehearsal(invocation, reply);
	if (sf_reply_integer(reply, "frozen", &frozen))
		g_string_append_printf(invocation->out, "%" G_GINT64_FORMAT " filesystem%s frozen",
				       frozen, frozen == 1 ? "" : "s");
	else
		g_string_append(invocation->out, "Frozen");
	append_duration(invocation, reply, "flush-ms", "flushed in");
	append_duration(invocation, reply, "freeze-ms", "frozen in");
	append_duration(invocation, reply, "deadline-ms", "thaws by itself in");
	append_id(invocation, reply);
	g_string_append_c(invocation->out, '\n');
	print_filesystems(invocation, sf_reply_array(reply, "filesystems"), "result");
	sf_report_not_covered(invocation, reply);
	print_hooks(invocation, sf_reply_array(reply, "hooks"));
}

static bool is_all_thawed(JsonArray *filesystems)
{
	for (unsigned int i = 0; i < sf_reply_length(filesystems); i++) {
		const char *result = sf_reply_string(sf_reply_object_at(filesystems, i), "result");

		if (g_strcmp0(result, "failed") == 0)
			return false;
	}
	return true;
}

SfExit sf_fail_to_freeze(SfInvocation *invocation, const GError *error)
{
	SfExit status = sf_fail(invocation, error);

	if (status == SF_EXIT_UNREACHABLE)
		sf_say(invocation, "it may still freeze, until its deadline; 'snapfreeze status' "
				   "tells, 'snapfreeze thaw' ends it");
	return status;
}

bool sf_report_thaw(SfInvocation *invocation, JsonNode *node)
{
	JsonObject *reply = sf_reply_root(node);
	JsonArray *filesystems = sf_reply_array(reply, "filesystems");
	bool is_good = !sf_reply_is_false(reply, "consistent") && is_all_thawed(filesystems);

	if (invocation->json) {
		sf_print_json(invocation, node);
		return is_good;
	}
	sf_report_rehearsal(invocation, reply);
	print_verdict(invocation, reply);
	append_duration(invocation, reply, "frozen-ms", "frozen for");
	append_duration(invocation, reply, "thaw-ms", "thawed in");
	g_string_append_c(invocation->out, '\n');
	sf_report_reasons(invocation, reply);
	print_filesystems(invocation, filesystems, "result");
	print_hooks(invocation, sf_reply_array(reply, "hooks"));
	return is_good;
}

/* guest-fsfreeze-* answer a bare string or a bare number. */
static void print_bare(SfInvocation *invocation, JsonNode *reply)
{
	if (JSON_NODE_HOLDS_VALUE(reply) && json_node_get_value_type(reply) == G_TYPE_STRING)
		say_styled(invocation, SF_STYLE_BOLD, json_node_get_string(reply));
	else
		sf_json_write(invocation->out, reply);
}

void sf_report_fallback(SfInvocation *invocation, const char *member, const char *command,
			JsonNode *reply)
{
	if (invocation->json) {
		g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
		JsonObject *object = json_object_new();

		json_object_set_member(object, member, json_node_copy(reply));
		json_object_set_string_member(object, "by", command);
		json_node_take_object(node, object);
		sf_print_json(invocation, node);
		return;
	}
	g_string_append_printf(invocation->out, "%s: ", member);
	print_bare(invocation, reply);
	g_string_append_printf(invocation->out,
			       "\n(by %s: the agent is not snapfreeze's, nothing is known of "
			       "deadline and consistency)\n",
			       command);
}
