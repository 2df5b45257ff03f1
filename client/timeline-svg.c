/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws a time line as SVG, in plain shapes and text. What the guest calls its filesystems is
 * escaped: the file may be opened in a browser. Called by snapshot-report.c. */
#include "config.h"

#include "client/format.h"
#include "client/timeline.h"

#define LABEL 220.0
#define BARS 640.0
#define STILL 110.0
#define ROW 24.0
#define TOP 56.0
#define LABEL_CHARS 30

static const char *const colours[] = {
	[SF_PHASE_PREPARE] = "#9aa5b1",  [SF_PHASE_FLUSH] = "#7bb3e0",
	[SF_PHASE_FREEZE] = "#f0a35e",   [SF_PHASE_FROZEN] = "#b04a8f",
	[SF_PHASE_SNAPSHOT] = "#3f9e5f", [SF_PHASE_THAW] = "#e8c547",
};

/* A locale's decimal comma would make another picture. */
static void append_number(GString *out, const char *name, double number)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	g_string_append_printf(out, " %s=\"%s\"", name,
			       g_ascii_formatd(text, sizeof(text), "%.2f", number));
}

static void append_text(GString *out, double x, double y, const char *anchor, const char *text)
{
	g_autofree char *safe = sf_escape(text, true);
	g_autofree char *escaped = g_markup_escape_text(safe, -1);

	g_string_append(out, "<text");
	append_number(out, "x", x);
	append_number(out, "y", y);
	g_string_append_printf(out, " text-anchor=\"%s\">%s</text>\n", anchor, escaped);
}

static void append_box(GString *out, double x, double y, double width, const char *colour,
		       const char *title)
{
	g_string_append(out, "<rect");
	append_number(out, "x", x);
	append_number(out, "y", y);
	append_number(out, "width", width);
	append_number(out, "height", ROW - 8);
	g_string_append_printf(out, " fill=\"%s\"><title>%s</title></rect>\n", colour, title);
}

static void append_row(GString *out, const SfRow *row, double whole, double y)
{
	g_autofree char *still = row->still > 0 ? sf_format_duration(row->still) : NULL;
	long length = g_utf8_strlen(row->label, -1);
	const char *end = g_utf8_offset_to_pointer(row->label, MAX(length - LABEL_CHARS, 0));
	g_autofree char *label =
		length > LABEL_CHARS ? g_strconcat("…", end, NULL) : g_strdup(row->label);

	append_text(out, LABEL - 8, y + ROW - 12, "end", label);
	for (unsigned int i = 0; i < row->n_bars; i++) {
		const SfBar *bar = &row->bars[i];
		g_autofree char *length_text = sf_format_duration(bar->end - bar->begin);
		g_autofree char *title =
			g_strdup_printf("%s %s", sf_phase_name(bar->phase), length_text);

		append_box(out, LABEL + bar->begin / whole * BARS, y,
			   MAX((bar->end - bar->begin) / whole * BARS, 0.5), colours[bar->phase],
			   title);
	}
	if (still)
		append_text(out, LABEL + BARS + 8, y + ROW - 12, "start", still);
}

static void append_scale(GString *out, double whole, double bottom)
{
	for (unsigned int i = 0; i <= 4; i++) {
		double x = LABEL + BARS * i / 4;
		g_autofree char *text = sf_format_duration(whole * i / 4);

		g_string_append(out, "<line stroke=\"#d5dae0\"");
		append_number(out, "x1", x);
		append_number(out, "x2", x);
		append_number(out, "y1", TOP - 6);
		append_number(out, "y2", bottom);
		g_string_append(out, "/>\n");
		append_text(out, x, TOP - 12, "middle", text);
	}
}

static void append_legend(GString *out, double y)
{
	for (SfPhase phase = 0; phase < SF_N_PHASES; phase++) {
		double x = LABEL + phase * BARS / SF_N_PHASES;

		append_box(out, x, y, 16, colours[phase], sf_phase_name(phase));
		append_text(out, x + 22, y + ROW - 12, "start", sf_phase_name(phase));
	}
}

void sf_timeline_draw_svg(const SfTimeline *timeline, GString *out)
{
	double whole = MAX(timeline->whole, 0.001);
	double bottom = TOP + timeline->rows->len * ROW;
	g_autofree char *title = sf_format_duration(timeline->whole);
	g_autofree char *heading =
		g_strdup_printf("Snapshot, %s; at the right how long writers stood still", title);

	g_string_append(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			     "<svg xmlns=\"http://www.w3.org/2000/svg\"");
	append_number(out, "width", LABEL + BARS + STILL);
	append_number(out, "height", bottom + 2 * ROW);
	g_string_append(out, " font-family=\"sans-serif\" font-size=\"12\">\n"
			     "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
	append_text(out, LABEL, 20, "start", heading);
	append_scale(out, whole, bottom);
	for (guint i = 0; i < timeline->rows->len; i++)
		append_row(out, &g_array_index(timeline->rows, SfRow, i), whole, TOP + i * ROW);
	append_legend(out, bottom + ROW / 2);
	g_string_append(out, "</svg>\n");
}
