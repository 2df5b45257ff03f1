/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws a time line with the characters that the terminal has: a row per line, a cell per piece of
 * time. Called by snapshot-report.c. */
#include "config.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/format.h"
#include "client/table.h"
#include "client/timeline.h"

#define WIDTH_DEFAULT 80
#define WIDTH_MIN 40
#define WIDTH_MAX 200
#define LABEL_MAX 28
#define STILL_WIDTH 9

static const struct {
	const char *utf8;
	char ascii;
	SfStyle style;
	const char *legend;
} looks[] = {
	[SF_PHASE_PREPARE] = {"·", '.', SF_STYLE_DIM, "prepare"},
	[SF_PHASE_FLUSH] = {"░", '-', SF_STYLE_PLAIN, "flush"},
	[SF_PHASE_FREEZE] = {"▒", '+', SF_STYLE_WARNING, "freeze"},
	[SF_PHASE_FROZEN] = {"█", '#', SF_STYLE_BOLD, "frozen"},
	[SF_PHASE_SNAPSHOT] = {"▄", '*', SF_STYLE_GOOD, "snapshot"},
	[SF_PHASE_THAW] = {"▓", '=', SF_STYLE_WARNING, "thaw"},
};

unsigned int sf_terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return CLAMP(size.ws_col, WIDTH_MIN, WIDTH_MAX);
}

static void append_cells(GString *out, SfLook look, SfPhase phase, unsigned int n)
{
	g_autoptr(GString) cells = g_string_new(NULL);

	for (unsigned int i = 0; i < n; i++) {
		if (look.utf8)
			g_string_append(cells, looks[phase].utf8);
		else
			g_string_append_c(cells, looks[phase].ascii);
	}
	sf_print_styled(out, look, looks[phase].style, cells->str);
}

static void append_spaces(GString *out, size_t n)
{
	while (n-- > 0)
		g_string_append_c(out, ' ');
}

/* Whatever took any time gets a cell, even where it moves what comes after it. */
static void append_bars(GString *out, SfLook look, const SfRow *row, double whole,
			unsigned int width)
{
	unsigned int at = 0;

	for (unsigned int i = 0; i < row->n_bars && at < width; i++) {
		const SfBar *bar = &row->bars[i];
		unsigned int later = row->n_bars - i - 1; /* a cell is kept for each */
		unsigned int last = width > later ? width - later : at + 1;
		unsigned int begin = (unsigned int)lround(bar->begin / whole * width);
		unsigned int end = (unsigned int)lround(bar->end / whole * width);

		begin = CLAMP(begin, at, MAX(last - 1, at));
		end = CLAMP(end, begin + 1, MAX(last, begin + 1));
		append_spaces(out, begin - at);
		append_cells(out, look, bar->phase, end - begin);
		at = end;
	}
	append_spaces(out, width > at ? width - at : 0);
}

/* Of a path that is too long the end says more than the beginning. */
static char *shorten(const char *label, SfLook look, unsigned int width)
{
	g_autofree char *safe = sf_escape(label, look.utf8);
	const char *at = safe;

	if (sf_display_width(safe) <= width)
		return g_steal_pointer(&safe);
	while (*at && sf_display_width(at) + 1 > width)
		at = g_utf8_next_char(at);
	return g_strconcat(look.utf8 ? "…" : "~", at, NULL);
}

static unsigned int widest_label(const SfTimeline *timeline, SfLook look)
{
	size_t widest = 0;

	for (guint i = 0; i < timeline->rows->len; i++) {
		g_autofree char *label =
			shorten(g_array_index(timeline->rows, SfRow, i).label, look, LABEL_MAX);

		widest = MAX(widest, sf_display_width(label));
	}
	return (unsigned int)widest;
}

static void append_legend(GString *out, const SfTimeline *timeline, SfLook look)
{
	bool is_drawn[SF_N_PHASES] = {false};

	for (guint i = 0; i < timeline->rows->len; i++) {
		const SfRow *row = &g_array_index(timeline->rows, SfRow, i);

		for (unsigned int j = 0; j < row->n_bars; j++)
			is_drawn[row->bars[j].phase] = true;
	}
	for (SfPhase phase = 0; phase < SF_N_PHASES; phase++) {
		if (!is_drawn[phase])
			continue;
		append_cells(out, look, phase, 1);
		g_string_append_printf(out, " %s  ", looks[phase].legend);
	}
	g_string_truncate(out, out->len - strlen("  "));
	g_string_append_c(out, '\n');
}

static void append_row(GString *out, SfLook look, const SfRow *row, double whole,
		       unsigned int label_width, unsigned int width)
{
	const char *edge = look.utf8 ? "│" : "|";
	g_autofree char *label = shorten(row->label, look, label_width);
	g_autofree char *still = row->still > 0 ? sf_format_duration(row->still) : g_strdup("");

	g_string_append(out, label);
	append_spaces(out, label_width - MIN(label_width, sf_display_width(label)));
	g_string_append_printf(out, " %s", edge);
	append_bars(out, look, row, whole, width);
	g_string_append(out, edge);
	if (*still)
		g_string_append_printf(out, " %*s", STILL_WIDTH - 1, still);
	g_string_append_c(out, '\n');
}

void sf_timeline_draw(const SfTimeline *timeline, SfLook look, unsigned int width, GString *out)
{
	unsigned int label_width = widest_label(timeline, look);
	unsigned int bars = width - MIN(width - 8, label_width + 3 + STILL_WIDTH);
	g_autofree char *whole = sf_format_duration(timeline->whole);

	g_string_append_printf(out, "Time line, %s; at the right how long writers stood still\n",
			       whole);
	for (guint i = 0; i < timeline->rows->len; i++)
		append_row(out, look, &g_array_index(timeline->rows, SfRow, i),
			   MAX(timeline->whole, 0.001), label_width, bars);
	if (timeline->n_left_out > 0)
		g_string_append_printf(out, "and %u filesystems that took less time\n",
				       timeline->n_left_out);
	append_legend(out, timeline, look);
}
