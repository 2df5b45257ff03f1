/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/tree: the lines that show which filesystem lies on which. */
#include "config.h"

#include "client/tree.h"

static void check(const int *parents, unsigned int n_rows, bool utf8, const char *const *expected)
{
	g_auto(GStrv) rows = sf_tree_draw(parents, n_rows, utf8);

	g_assert_nonnull(rows);
	g_assert_cmpuint(g_strv_length(rows), ==, n_rows);
	for (unsigned int i = 0; i < n_rows; i++)
		g_assert_cmpstr(rows[i], ==, expected[i]);
}

static void test_chain(void)
{
	const int parents[] = {1, 2, -1};
	const char *const expected[] = {"  ┌─ ", "┌─┴─ ", "└─── "};
	const char *const ascii[] = {"  .- ", ".-'- ", "`--- "};

	check(parents, 3, true, expected);
	check(parents, 3, false, ascii);
}

static void test_siblings(void)
{
	const int parents[] = {2, 2, -1, -1};
	const char *const expected[] = {"┌─ ", "├─ ", "└─ ", "   "};

	check(parents, 4, true, expected);
}

/* 0 hangs on 4, 1 on 3; 2 stands alone between, 3's line ends while 4's goes on. */
static void test_interleaved(void)
{
	const int parents[] = {4, 3, -1, -1, -1};
	const char *const expected[] = {"┌─── ", "│ ┌─ ", "│ │  ", "│ └─ ", "└─── "};

	check(parents, 5, true, expected);
}

static void test_crossing(void)
{
	const int parents[] = {2, 3, -1, -1};
	const char *const expected[] = {"┌─── ", "│ ┌─ ", "└─┼─ ", "  └─ "};

	check(parents, 4, true, expected);
}

static void test_nothing_to_draw(void)
{
	const int parents[] = {-1, -1, -1};

	g_assert_null(sf_tree_draw(parents, 3, true));
	g_assert_null(sf_tree_draw(parents, 0, true));
}

/* Pairs that are all open at once: row i hangs on row i + pairs. */
static void test_too_wide(void)
{
	int parents[2 * (SF_TREE_MAX_LANES + 1)];

	for (int pairs = SF_TREE_MAX_LANES; pairs <= SF_TREE_MAX_LANES + 1; pairs++) {
		g_auto(GStrv) rows = NULL;

		for (int i = 0; i < 2 * pairs; i++)
			parents[i] = i < pairs ? i + pairs : -1;
		rows = sf_tree_draw(parents, 2 * (unsigned int)pairs, true);
		g_assert_true((rows != NULL) == (pairs <= SF_TREE_MAX_LANES));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/chain", test_chain);
	g_test_add_func("/tree/siblings", test_siblings);
	g_test_add_func("/tree/interleaved", test_interleaved);
	g_test_add_func("/tree/crossing", test_crossing);
	g_test_add_func("/tree/nothing-to-draw", test_nothing_to_draw);
	g_test_add_func("/tree/too-wide", test_too_wide);
	return g_test_run();
}
