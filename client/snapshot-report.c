/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said of a snapshot in the end, to people and to programs. cmd-snapshot.c calls it. */
#include "config.h"

#include "client/format.h"
#include "client/reply.h"
#include "client/report.h"
#include "client/snapshot-report.h"
#include "client/table.h"
#include "client/timeline.h"

#define TEXT_ROWS 20
#define SVG_ROWS 200

/* By the guest's own clock where its agent tells; else as the host saw it, which is longer. */
static double still_ms(const SfCourse *course)
{
	JsonObject *reply = sf_reply_root(course->thaw);
	double frozen = 0, thaw = 0;

	if (!course->is_ours || !sf_reply_number(reply, "frozen-ms", &frozen))
		return course->thawed - course->asked;
	sf_reply_number(reply, "thaw-ms", &thaw);
	return frozen + thaw;
}

static const char *verdict_name(SfVerdict verdict)
{
	switch (verdict) {
	case SF_VERDICT_CONSISTENT:
		return "consistent";
	case SF_VERDICT_INCONSISTENT:
		return "NOT CONSISTENT";
	default:
		return "consistency unknown";
	}
}

static void print_disks(SfInvocation *invocation, const SfHost *host)
{
	const SfColumn columns[] = {{"DISK"},
				    {"IMAGE"},
				    {host->wish->backup ? "BACKUP" : "OVERLAY"},
				    {NULL}};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);

	for (guint i = 0; i < host->disks->len; i++) {
		const SfDisk *disk = g_ptr_array_index(host->disks, i);

		sf_table_add(table, SF_STYLE_PLAIN, disk->name);
		sf_table_add(table, SF_STYLE_PLAIN, disk->image);
		sf_table_add(table, SF_STYLE_PLAIN, disk->target);
	}
	sf_table_print(table, invocation->out);
	g_string_append_c(invocation->out, '\n');
}

static void print_verdict(SfInvocation *invocation, const SfSnapshot *snapshot)
{
	const SfCourse *course = &snapshot->course;
	static const SfStyle styles[] = {
		[SF_VERDICT_CONSISTENT] = SF_STYLE_GOOD,
		[SF_VERDICT_INCONSISTENT] = SF_STYLE_BAD,
		[SF_VERDICT_UNKNOWN] = SF_STYLE_WARNING,
	};
	g_autofree char *still = sf_format_duration(still_ms(course));

	sf_print_styled(invocation->out, invocation->look, styles[snapshot->verdict],
			verdict_name(snapshot->verdict));
	g_string_append_printf(invocation->out, ", writers stood still for %s%s",
			       course->is_ours ? "" : "at most ", still);
	if (course->copied > 0) {
		g_autofree char *copied = sf_format_duration(course->copied - course->fixed);
		g_string_append_printf(invocation->out, ", copied in %s", copied);
	}
	g_string_append_c(invocation->out, '\n');
	if (snapshot->why)
		g_string_append_printf(invocation->out, "  %s\n", snapshot->why);
	sf_report_reasons(invocation, sf_reply_root(course->thaw));
	if (snapshot->verdict == SF_VERDICT_INCONSISTENT)
		g_string_append(
			invocation->out,
			snapshot->host->wish->backup
				? "The backups were given up and removed.\n"
				: "The overlays are in use all the same: the guest writes to "
				  "them. Do not delete them.\n");
}

static void set_verdict(JsonObject *object, const SfSnapshot *snapshot)
{
	if (snapshot->verdict == SF_VERDICT_UNKNOWN)
		json_object_set_null_member(object, "consistent");
	else
		json_object_set_boolean_member(object, "consistent",
					       snapshot->verdict == SF_VERDICT_CONSISTENT);
	if (snapshot->why)
		json_object_set_string_member(object, "why", snapshot->why);
}

static JsonArray *disks_to_json(const SfHost *host)
{
	JsonArray *array = json_array_new();

	for (guint i = 0; i < host->disks->len; i++) {
		const SfDisk *disk = g_ptr_array_index(host->disks, i);
		JsonObject *object = json_object_new();

		json_object_set_string_member(object, "disk", disk->name);
		json_object_set_string_member(object, "image", disk->image);
		json_object_set_string_member(object, "file", disk->target);
		json_array_add_object_element(array, object);
	}
	return array;
}

static void print_json(SfInvocation *invocation, const SfSnapshot *snapshot,
		       const SfTimeline *timeline)
{
	const SfCourse *course = &snapshot->course;
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *object = json_object_new();

	set_verdict(object, snapshot);
	json_object_set_double_member(object, "still-ms", still_ms(course));
	if (course->copied > 0)
		json_object_set_double_member(object, "copy-ms", course->copied - course->fixed);
	json_object_set_array_member(object, "disks", disks_to_json(snapshot->host));
	json_object_set_member(object, "freeze", json_node_copy(course->freeze));
	if (course->thaw)
		json_object_set_member(object, "thaw", json_node_copy(course->thaw));
	json_object_set_array_member(object, "time-line", sf_timeline_to_json(timeline));
	json_node_take_object(node, object);
	sf_print_json(invocation, node);
}

void sf_snapshot_report(SfInvocation *invocation, const SfSnapshot *snapshot)
{
	g_autoptr(SfTimeline) timeline =
		sf_timeline_new(&snapshot->course, invocation->json ? SVG_ROWS : TEXT_ROWS);

	if (invocation->json) {
		print_json(invocation, snapshot, timeline);
		return;
	}
	sf_report_rehearsal(invocation, sf_reply_root(snapshot->course.freeze));
	print_disks(invocation, snapshot->host);
	sf_timeline_draw(timeline, invocation->look, sf_terminal_width(), invocation->out);
	sf_report_not_covered(invocation, sf_reply_root(snapshot->course.freeze));
	g_string_append_c(invocation->out, '\n');
	print_verdict(invocation, snapshot);
}

bool sf_snapshot_write_svg(SfInvocation *invocation, const SfSnapshot *snapshot, const char *path)
{
	g_autoptr(SfTimeline) timeline = sf_timeline_new(&snapshot->course, SVG_ROWS);
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	sf_timeline_draw_svg(timeline, text);
	if (g_file_set_contents(path, text->str, (gssize)text->len, &error))
		return true;
	sf_say(invocation, "%s", error->message);
	return false;
}
