/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Beyond this many lines side by side a tree explains nothing any more. */
#define SF_TREE_MAX_LANES 12

/**
 * sf_tree_draw:
 * @parents: for each row the row that it hangs on, which is always a later one; -1: none
 * @n_rows: how many
 * @utf8: whether lines may be drawn with more than ASCII
 *
 * Draws a forest upside down: each row stands above what it hangs on, as in
 *
 *   ┌── /img/inner
 * ┌─┴── /img
 * └──── /
 *
 * Returns: (transfer full) (nullable): what stands before each row's text, all of the same width;
 * %NULL where nothing hangs on anything, or the lanes are too many
 */
char **sf_tree_draw(const int *parents, unsigned int n_rows, bool utf8);
