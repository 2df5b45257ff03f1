/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the time line of a snapshot: which bars there are and how long, out of the host's clock and
 * what the agent says of each filesystem. The agent tells how long each step took and not when it
 * began: steps of one kind are drawn as beginning side by side, which is how they are done unless
 * one filesystem lies on another. Called by snapshot-report.c. */
#include "config.h"

#include "client/reply.h"
#include "client/timeline.h"

static void row_clear(gpointer row)
{
	g_free(((SfRow *)row)->label);
}

static void add_bar(SfRow *row, SfPhase phase, double begin, double end)
{
	if (end > begin && row->n_bars < SF_ROW_BARS_MAX)
		row->bars[row->n_bars++] = (SfBar){phase, begin, end};
}

static double duration(JsonObject *object, const char *name)
{
	double ms = 0;

	sf_reply_number(object, name, &ms);
	/* An agent may say anything; a day is beyond what any drawing could show. */
	return CLAMP(ms, 0, 24 * 3600e3);
}

static double cost(JsonObject *filesystem)
{
	return duration(filesystem, "flush-ms") + duration(filesystem, "freeze-ms");
}

/* The thaw lists what the freeze did, but not always in its order. */
static JsonObject *find_thaw(JsonArray *thaws, const char *mountpoint)
{
	for (unsigned int i = 0; mountpoint && i < sf_reply_length(thaws); i++) {
		JsonObject *thaw = sf_reply_object_at(thaws, i);

		if (g_strcmp0(sf_reply_string(thaw, "mountpoint"), mountpoint) == 0)
			return thaw;
	}
	return NULL;
}

typedef struct {
	double flush, freeze, thawing, whole; /* where each begins, in ms after the question */
} Marks;

static Marks marks_of(const SfCourse *course)
{
	JsonObject *reply = sf_reply_root(course->freeze);
	double answered = course->answered - course->asked;
	double freeze = MAX(answered - duration(reply, "freeze-ms"), 0);

	return (Marks){
		.flush = MAX(freeze - duration(reply, "flush-ms"), 0),
		.freeze = freeze,
		.thawing = course->thawing - course->asked,
		.whole = course->thawed - course->asked,
	};
}

static SfRow filesystem_row(JsonObject *filesystem, JsonObject *thaw, const Marks *marks)
{
	const char *mountpoint = sf_reply_string(filesystem, "mountpoint");
	double frozen = MIN(marks->freeze + duration(filesystem, "freeze-ms"), marks->thawing);
	double thawed = MIN(marks->thawing + duration(thaw, "thaw-ms"), marks->whole);
	SfRow row = {.label = g_strdup(mountpoint ? mountpoint : "?")};

	add_bar(&row, SF_PHASE_FLUSH, marks->flush,
		MIN(marks->flush + duration(filesystem, "flush-ms"), marks->thawing));
	if (g_strcmp0(sf_reply_string(filesystem, "result"), "frozen") != 0)
		return row;
	add_bar(&row, SF_PHASE_FREEZE, marks->freeze, frozen);
	add_bar(&row, SF_PHASE_FROZEN, frozen, marks->thawing);
	add_bar(&row, SF_PHASE_THAW, marks->thawing, thawed);
	row.still = thawed - marks->freeze;
	return row;
}

static int compare_costs(gconstpointer a, gconstpointer b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left > right ? -1 : left < right;
}

/* What a filesystem must have cost to be among the @max that cost most. */
static double find_least(JsonArray *filesystems, unsigned int max)
{
	unsigned int n = sf_reply_length(filesystems);
	g_autofree double *costs = g_new(double, n + 1);

	for (unsigned int i = 0; i < n; i++)
		costs[i] = cost(sf_reply_object_at(filesystems, i));
	qsort(costs, n, sizeof(*costs), compare_costs);
	return n > max ? costs[max - 1] : -1;
}

static void add_filesystems(SfTimeline *timeline, const SfCourse *course, const Marks *marks,
			    unsigned int max)
{
	JsonArray *filesystems = sf_reply_array(sf_reply_root(course->freeze), "filesystems");
	JsonArray *thaws = sf_reply_array(sf_reply_root(course->thaw), "filesystems");
	double least = find_least(filesystems, max);
	unsigned int n = 0;

	for (unsigned int i = 0; i < sf_reply_length(filesystems); i++) {
		JsonObject *filesystem = sf_reply_object_at(filesystems, i);
		const char *mountpoint = sf_reply_string(filesystem, "mountpoint");
		SfRow row;

		if (cost(filesystem) < least || n++ >= max) {
			timeline->n_left_out++;
			continue;
		}
		row = filesystem_row(filesystem, find_thaw(thaws, mountpoint), marks);
		g_array_append_val(timeline->rows, row);
	}
}

/* What the agent did as a whole; of QEMU's own nothing more is known. */
static void add_agent(SfTimeline *timeline, const SfCourse *course, const Marks *marks)
{
	SfRow row = {.label = g_strdup("agent")};
	double answered = course->answered - course->asked;

	if (course->is_ours) {
		add_bar(&row, SF_PHASE_PREPARE, 0, marks->flush);
	} else {
		add_bar(&row, SF_PHASE_FREEZE, 0, answered);
		add_bar(&row, SF_PHASE_FROZEN, answered, marks->thawing);
		add_bar(&row, SF_PHASE_THAW, marks->thawing, marks->whole);
		row.still = marks->whole;
	}
	g_array_append_val(timeline->rows, row);
}

SfTimeline *sf_timeline_new(const SfCourse *course, unsigned int max_rows)
{
	SfTimeline *timeline = g_new0(SfTimeline, 1);
	Marks marks = marks_of(course);
	SfRow host = {.label = g_strdup("snapshot")};

	timeline->rows = g_array_new(FALSE, FALSE, sizeof(SfRow));
	g_array_set_clear_func(timeline->rows, row_clear);
	timeline->whole = marks.whole;
	add_agent(timeline, course, &marks);
	add_filesystems(timeline, course, &marks, max_rows);
	if (course->fixed > 0)
		add_bar(&host, SF_PHASE_SNAPSHOT, course->begun - course->asked,
			MIN(course->fixed - course->asked, marks.whole));
	g_array_append_val(timeline->rows, host);
	return timeline;
}

void sf_timeline_free(SfTimeline *timeline)
{
	if (!timeline)
		return;
	g_array_unref(timeline->rows);
	g_free(timeline);
}

const char *sf_phase_name(SfPhase phase)
{
	static const char *const names[] = {
		[SF_PHASE_PREPARE] = "prepare",   [SF_PHASE_FLUSH] = "flush",
		[SF_PHASE_FREEZE] = "freeze",     [SF_PHASE_FROZEN] = "frozen",
		[SF_PHASE_SNAPSHOT] = "snapshot", [SF_PHASE_THAW] = "thaw",
	};

	return names[phase];
}

static JsonArray *bars_to_json(const SfRow *row)
{
	JsonArray *bars = json_array_new();

	for (unsigned int i = 0; i < row->n_bars; i++) {
		JsonObject *bar = json_object_new();

		json_object_set_string_member(bar, "phase", sf_phase_name(row->bars[i].phase));
		json_object_set_double_member(bar, "begin-ms", row->bars[i].begin);
		json_object_set_double_member(bar, "end-ms", row->bars[i].end);
		json_array_add_object_element(bars, bar);
	}
	return bars;
}

JsonArray *sf_timeline_to_json(const SfTimeline *timeline)
{
	JsonArray *rows = json_array_new();

	for (guint i = 0; i < timeline->rows->len; i++) {
		const SfRow *row = &g_array_index(timeline->rows, SfRow, i);
		JsonObject *object = json_object_new();

		json_object_set_string_member(object, "label", row->label);
		if (row->still > 0)
			json_object_set_double_member(object, "still-ms", row->still);
		json_object_set_array_member(object, "phases", bars_to_json(row));
		json_array_add_object_element(rows, object);
	}
	return rows;
}
