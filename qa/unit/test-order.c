/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/order: by cases, and by the properties that any order must have. */
#include "config.h"

#include <string.h>

#include "agent/order.h"

#define MAX_NODES 16

typedef struct {
	SfOrderNode nodes[MAX_NODES];
	guint n;
	GArray *edges;
	GArray *order, *cycle;
} Graph;

/* @barriers: a letter for each node, '!' where it is a barrier; @edges: "a<b c<d", a before b */
static void graph_init(Graph *graph, const char *barriers, const char *edges)
{
	*graph = (Graph){.n = strlen(barriers)};
	graph->edges = g_array_new(FALSE, FALSE, sizeof(SfPlanEdge));
	for (guint i = 0; i < graph->n; i++)
		graph->nodes[i] = (SfOrderNode){.mounted = i, .is_barrier = barriers[i] == '!'};
	for (; *edges; edges += edges[3] ? 4 : 3) {
		SfPlanEdge edge = {.before = edges[0] - 'a', .after = edges[2] - 'a'};

		g_array_append_val(graph->edges, edge);
	}
}

static void graph_clear(Graph *graph)
{
	g_array_unref(graph->edges);
	g_clear_pointer(&graph->order, g_array_unref);
	g_clear_pointer(&graph->cycle, g_array_unref);
}

static bool graph_sort(Graph *graph)
{
	return sf_order_sort(graph->nodes, graph->n, graph->edges, &graph->order, &graph->cycle);
}

static char *spell(const GArray *numbers)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < numbers->len; i++)
		g_string_append_c(text, 'a' + g_array_index(numbers, guint, i));
	return g_string_free(text, FALSE);
}

static void assert_order(const char *barriers, const char *edges, const char *order)
{
	g_autofree char *text = NULL;
	Graph graph;

	graph_init(&graph, barriers, edges);
	g_assert_true(graph_sort(&graph));
	text = spell(graph.order);
	g_assert_cmpstr(text, ==, order);
	g_assert_null(graph.cycle);
	graph_clear(&graph);
}

static void test_reverse(void)
{
	assert_order("", "", "");
	assert_order(".", "", "a");
	assert_order("....", "", "dcba");
}

static void test_edges(void)
{
	/* Already in reverse order of mounting: nothing moves. */
	assert_order("....", "d<a c<b", "dcba");
	/* The earlier mounted one first: only what waits for it moves. */
	assert_order("....", "a<d", "cbad");
	assert_order("....", "a<c b<d", "bdac");
	assert_order("....", "a<b b<c c<d", "abcd");
}

static void test_barrier(void)
{
	assert_order("..!.", "", "dcba");
	/* c is a barrier and waits for a: a comes before b, which the barrier must precede. */
	assert_order("..!.", "a<c", "dacb");
	/* Through another, and the lent rank goes no further than needed. */
	assert_order("...!.", "a<b b<d", "eabdc");
	/* An edge that contradicts wins: b is mounted earlier, and still before c. */
	assert_order(".!!.", "b<c", "dbca");
	assert_order("!..!", "a<d", "adcb");
}

static void assert_cycle(const char *nodes, const char *edges, const char *cycle)
{
	g_autofree char *text = NULL;
	Graph graph;

	graph_init(&graph, nodes, edges);
	g_assert_false(graph_sort(&graph));
	text = spell(graph.cycle);
	g_assert_cmpstr(text, ==, cycle);
	g_assert_null(graph.order);
	graph_clear(&graph);
}

static void test_cycle(void)
{
	assert_cycle("..", "a<b b<a", "ba");
	/* What only waits for a cycle is no member of it. */
	assert_cycle(".....", "b<c c<d d<b d<a b<e", "bcd");
	assert_cycle("..!..", "b<c c<d d<b", "cdb");
}

static bool leads_to(const GArray *edges, guint from, guint to)
{
	bool reached[MAX_NODES] = {false};
	bool changed = true;

	reached[from] = true;
	while (changed) {
		changed = false;
		for (guint i = 0; i < edges->len; i++) {
			SfPlanEdge edge = g_array_index(edges, SfPlanEdge, i);

			if (reached[edge.before] && !reached[edge.after])
				changed = reached[edge.after] = true;
		}
	}
	return reached[to];
}

/* Whether something forces @node to come before a barrier that is mounted at least as late. */
static bool is_forced(const Graph *graph, guint node, guint barrier)
{
	for (guint i = barrier; i < graph->n; i++)
		if (graph->nodes[i].is_barrier && leads_to(graph->edges, node, i))
			return true;
	return false;
}

static void check_properties(const Graph *graph)
{
	guint place[MAX_NODES] = {0};
	bool seen[MAX_NODES] = {false};

	g_assert_cmpuint(graph->order->len, ==, graph->n);
	for (guint i = 0; i < graph->n; i++) {
		guint node = g_array_index(graph->order, guint, i);

		g_assert_false(seen[node]);
		seen[node] = true;
		place[node] = i;
	}
	for (guint i = 0; i < graph->edges->len; i++) {
		SfPlanEdge edge = g_array_index(graph->edges, SfPlanEdge, i);

		g_assert_cmpuint(place[edge.before], <, place[edge.after]);
	}
	for (guint barrier = 0; barrier < graph->n; barrier++)
		for (guint node = 0; graph->nodes[barrier].is_barrier && node < barrier; node++)
			if (place[node] < place[barrier])
				g_assert_true(is_forced(graph, node, barrier));
}

static void check_cycle(const Graph *graph)
{
	guint n = graph->cycle->len;

	g_assert_cmpuint(n, >, 0);
	for (guint i = 0; i < n; i++) {
		guint before = g_array_index(graph->cycle, guint, i);
		guint after = g_array_index(graph->cycle, guint, (i + 1) % n);
		bool found = false;

		for (guint j = 0; j < graph->edges->len; j++) {
			SfPlanEdge edge = g_array_index(graph->edges, SfPlanEdge, j);

			found |= edge.before == before && edge.after == after;
		}
		g_assert_true(found);
	}
}

static void test_random(void)
{
	guint sorted = 0, cyclic = 0;

	for (int round = 0; round < 20000; round++) {
		Graph graph;
		guint n_edges = g_test_rand_int_range(0, 16);

		graph_init(&graph, "", "");
		graph.n = g_test_rand_int_range(2, 10);
		for (guint i = 0; i < graph.n; i++)
			graph.nodes[i] =
				(SfOrderNode){.mounted = i, .is_barrier = g_test_rand_bit()};
		for (guint i = 0; i < n_edges; i++) {
			SfPlanEdge edge = {.before = g_test_rand_int_range(0, graph.n),
					   .after = g_test_rand_int_range(0, graph.n)};

			if (edge.before != edge.after)
				g_array_append_val(graph.edges, edge);
		}
		if (graph_sort(&graph)) {
			check_properties(&graph);
			sorted++;
		} else {
			check_cycle(&graph);
			cyclic++;
		}
		graph_clear(&graph);
	}
	g_assert_cmpuint(sorted, >, 1000);
	g_assert_cmpuint(cyclic, >, 1000);
}

/* As many as a plan can have, all barriers. */
static void test_large(void)
{
	g_autofree SfOrderNode *nodes = g_new(SfOrderNode, SF_PLAN_MAX_TARGETS);
	g_autoptr(GArray) edges = g_array_new(FALSE, FALSE, sizeof(SfPlanEdge));
	g_autoptr(GArray) order = NULL;
	g_autoptr(GArray) cycle = NULL;
	gint64 start;

	for (guint i = 0; i < SF_PLAN_MAX_TARGETS; i++)
		nodes[i] = (SfOrderNode){.mounted = i, .is_barrier = true};
	for (guint i = 0; i < SF_PLAN_MAX_EDGES; i++) {
		SfPlanEdge edge = {.before = i % (SF_PLAN_MAX_TARGETS - 5),
				   .after = i % (SF_PLAN_MAX_TARGETS - 5) + 1 + i / 4096};

		g_array_append_val(edges, edge);
	}
	start = g_get_monotonic_time();
	g_assert_true(sf_order_sort(nodes, SF_PLAN_MAX_TARGETS, edges, &order, &cycle));
	g_test_message("%u nodes, %u edges sorted in %.1f ms", SF_PLAN_MAX_TARGETS, edges->len,
		       (g_get_monotonic_time() - start) / 1000.0);
	g_assert_cmpuint(order->len, ==, SF_PLAN_MAX_TARGETS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/order/reverse", test_reverse);
	g_test_add_func("/order/edges", test_edges);
	g_test_add_func("/order/barrier", test_barrier);
	g_test_add_func("/order/cycle", test_cycle);
	g_test_add_func("/order/random", test_random);
	g_test_add_func("/order/large", test_large);
	return g_test_run();
}
