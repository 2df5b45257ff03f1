/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws which filesystem lies on which beside a list whose order is given. A lane is a column with
 * a line that runs down to one row; lane_of[row] is the lane that leads to it. Invariant: the lane
 * to a row is right of the lane to what that row hangs on, so that lines only turn left. cmd-plan
 * calls it. */
#include "config.h"

#include "client/tree.h"

typedef enum { BLANK, DOWN, FIRST, NEXT, LAST, JOIN, CROSS, ACROSS, N_GLYPHS } Glyph;

static const char *const glyphs[2][N_GLYPHS] = {
	{" ", "|", ".", "|", "`", "'", "+", "-"},
	{" ", "│", "┌", "├", "└", "┴", "┼", "─"},
};

typedef struct {
	const int *parents;
	int *lane_of; /* -1: none */
	int owner[SF_TREE_MAX_LANES];
	bool is_drawn[SF_TREE_MAX_LANES]; /* its line has begun */
	int n_lanes;
} Tree;

static int free_lane_after(const Tree *tree, int lane)
{
	do
		lane++;
	while (lane < SF_TREE_MAX_LANES && tree->owner[lane] >= 0);
	return lane;
}

/* Gives lanes to @row and to all that it hangs on, from the last one up. */
static bool give_lanes(Tree *tree, int row)
{
	int parent = tree->parents[row];
	int lane;

	if (tree->lane_of[row] >= 0)
		return true;
	if (parent >= 0 && !give_lanes(tree, parent))
		return false;
	lane = free_lane_after(tree, parent >= 0 ? tree->lane_of[parent] : -1);
	if (lane >= SF_TREE_MAX_LANES)
		return false;
	tree->lane_of[row] = lane;
	tree->owner[lane] = row;
	tree->is_drawn[lane] = false;
	tree->n_lanes = MAX(tree->n_lanes, lane + 1);
	return true;
}

/* @down: the lane that goes on down to what the row hangs on; @own: the one that ends here. */
static Glyph glyph_at(const Tree *tree, int lane, int down, int own)
{
	int start = down >= 0 ? down : own;
	bool is_line = tree->owner[lane] >= 0 && tree->is_drawn[lane];

	if (lane == down)
		return is_line ? NEXT : FIRST;
	if (lane == own)
		return down >= 0 ? JOIN : LAST;
	if (start >= 0 && lane > start)
		return is_line ? CROSS : ACROSS;
	return is_line ? DOWN : BLANK;
}

static char *draw_row(const Tree *tree, int row, int n_lanes, bool utf8)
{
	GString *text = g_string_new(NULL);
	int down = tree->parents[row] >= 0 ? tree->lane_of[tree->parents[row]] : -1;
	int own = tree->lane_of[row];
	int start = down >= 0 ? down : own;

	for (int lane = 0; lane < n_lanes; lane++) {
		g_string_append(text, glyphs[utf8][glyph_at(tree, lane, down, own)]);
		g_string_append(text, glyphs[utf8][start >= 0 && lane >= start ? ACROSS : BLANK]);
	}
	g_string_append_c(text, ' ');
	return g_string_free(text, FALSE);
}

/* One walk; the first, with @rows NULL, finds how many lanes there will be. */
static bool walk(Tree *tree, unsigned int n_rows, int n_lanes, bool utf8, GPtrArray *rows)
{
	for (int i = 0; i < SF_TREE_MAX_LANES; i++)
		tree->owner[i] = -1;
	for (unsigned int row = 0; row < n_rows; row++)
		tree->lane_of[row] = -1;
	for (unsigned int row = 0; row < n_rows; row++) {
		int parent = tree->parents[row];
		int own;

		if (parent >= 0 && !give_lanes(tree, parent))
			return false;
		if (rows)
			g_ptr_array_add(rows, draw_row(tree, (int)row, n_lanes, utf8));
		if (parent >= 0)
			tree->is_drawn[tree->lane_of[parent]] = true;
		own = tree->lane_of[row];
		if (own >= 0)
			tree->owner[own] = -1;
	}
	return true;
}

char **sf_tree_draw(const int *parents, unsigned int n_rows, bool utf8)
{
	g_autofree int *lane_of = g_new(int, n_rows);
	Tree tree = {.parents = parents, .lane_of = lane_of};
	GPtrArray *rows;

	if (!walk(&tree, n_rows, 0, utf8, NULL) || tree.n_lanes == 0)
		return NULL;
	rows = g_ptr_array_new();
	if (!walk(&tree, n_rows, tree.n_lanes, utf8, rows)) {
		g_ptr_array_set_free_func(rows, g_free);
		g_ptr_array_unref(rows);
		return NULL;
	}
	g_ptr_array_add(rows, NULL);
	return (char **)g_ptr_array_free(rows, FALSE);
}
