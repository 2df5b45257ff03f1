/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the order of freezing, a matter of numbers only. Kahn's algorithm: of all nodes that wait
 * for nothing more, take the one that was mounted last. A barrier lends its rank to all that it
 * waits for, so that they come first too and hold it back no longer than they must; that takes the
 * place of an edge from each barrier to everything mounted earlier. Called by plan only.
 */
#include "config.h"

#include "agent/order.h"

/* The neighbours of each node, one after another: node i's are at first[i] to first[i + 1]. */
typedef struct {
	guint *first, *node;
} Neighbours;

typedef struct {
	const SfOrderNode *nodes;
	guint n;
	Neighbours before, after;
	guint *rank;    /* of each node; the highest that is ready is next */
	guint *waiting; /* how many a node still waits for */
} Sorter;

static Neighbours neighbours_new(guint n, const GArray *edges, bool of_after)
{
	Neighbours neighbours = {.first = g_new0(guint, n + 2), .node = g_new(guint, edges->len)};

	for (guint i = 0; i < edges->len; i++) {
		SfPlanEdge edge = g_array_index(edges, SfPlanEdge, i);

		neighbours.first[(of_after ? edge.after : edge.before) + 2]++;
	}
	for (guint i = 2; i < n + 2; i++)
		neighbours.first[i] += neighbours.first[i - 1];
	/* first[i + 1] is where node i's are filled in, and is at node i + 1's when all are. */
	for (guint i = 0; i < edges->len; i++) {
		SfPlanEdge edge = g_array_index(edges, SfPlanEdge, i);
		guint owner = of_after ? edge.after : edge.before;

		neighbours.node[neighbours.first[owner + 1]++] =
			of_after ? edge.before : edge.after;
	}
	return neighbours;
}

static void neighbours_clear(Neighbours *neighbours)
{
	g_free(neighbours->first);
	g_free(neighbours->node);
}

/* The later of two barriers lends first, so each node is visited once. */
static void lend_rank(Sorter *sorter, guint barrier, bool *lent, GArray *todo)
{
	guint rank = sorter->nodes[barrier].mounted;

	g_array_set_size(todo, 0);
	g_array_append_val(todo, barrier);
	while (todo->len > 0) {
		guint node = g_array_index(todo, guint, todo->len - 1);

		g_array_set_size(todo, todo->len - 1);
		if (lent[node])
			continue;
		lent[node] = true;
		sorter->rank[node] = MAX(sorter->rank[node], rank);
		for (guint i = sorter->before.first[node]; i < sorter->before.first[node + 1]; i++)
			g_array_append_val(todo, sorter->before.node[i]);
	}
}

static int compare_mounted(gconstpointer a, gconstpointer b, gpointer data)
{
	const Sorter *sorter = data;
	guint left = sorter->nodes[*(const guint *)a].mounted;
	guint right = sorter->nodes[*(const guint *)b].mounted;

	return left > right ? -1 : left < right;
}

static void rank_nodes(Sorter *sorter)
{
	g_autofree bool *lent = g_new0(bool, sorter->n + 1);
	g_autoptr(GArray) todo = g_array_new(FALSE, FALSE, sizeof(guint));
	g_autoptr(GArray) barriers = g_array_new(FALSE, FALSE, sizeof(guint));

	for (guint i = 0; i < sorter->n; i++) {
		sorter->rank[i] = sorter->nodes[i].mounted;
		if (sorter->nodes[i].is_barrier)
			g_array_append_val(barriers, i);
	}
	g_array_sort_with_data(barriers, compare_mounted, sorter);
	for (guint i = 0; i < barriers->len; i++)
		lend_rank(sorter, g_array_index(barriers, guint, i), lent, todo);
}

/* The highest rank first; among those that a barrier lent the same, the last mounted. */
static int compare_ready(gconstpointer a, gconstpointer b, gpointer data)
{
	const Sorter *sorter = data;
	guint left = GPOINTER_TO_UINT(a), right = GPOINTER_TO_UINT(b);

	if (sorter->rank[left] != sorter->rank[right])
		return sorter->rank[left] > sorter->rank[right] ? -1 : 1;
	if (sorter->nodes[left].mounted == sorter->nodes[right].mounted)
		return 0;
	return sorter->nodes[left].mounted > sorter->nodes[right].mounted ? -1 : 1;
}

static void take(Sorter *sorter, guint node, GSequence *ready)
{
	for (guint i = sorter->after.first[node]; i < sorter->after.first[node + 1]; i++) {
		guint next = sorter->after.node[i];

		if (--sorter->waiting[next] == 0)
			g_sequence_insert_sorted(ready, GUINT_TO_POINTER(next), compare_ready,
						 sorter);
	}
}

static GArray *take_all(Sorter *sorter)
{
	GArray *order = g_array_new(FALSE, FALSE, sizeof(guint));
	GSequence *ready = g_sequence_new(NULL);

	for (guint i = 0; i < sorter->n; i++) {
		sorter->waiting[i] = sorter->before.first[i + 1] - sorter->before.first[i];
		if (sorter->waiting[i] == 0)
			g_sequence_insert_sorted(ready, GUINT_TO_POINTER(i), compare_ready, sorter);
	}
	while (!g_sequence_is_empty(ready)) {
		GSequenceIter *first = g_sequence_get_begin_iter(ready);
		guint node = GPOINTER_TO_UINT(g_sequence_get(first));

		g_sequence_remove(first);
		g_array_append_val(order, node);
		take(sorter, node, ready);
	}
	g_sequence_free(ready);
	return order;
}

/* Something that @node still waits for. */
static guint find_blocker(const Sorter *sorter, guint node)
{
	for (guint i = sorter->before.first[node]; i < sorter->before.first[node + 1]; i++)
		if (sorter->waiting[sorter->before.node[i]] > 0)
			return sorter->before.node[i];
	return node;
}

/* Whoever waits, waits for one that waits: going back along that must come round. */
static GArray *find_cycle(const Sorter *sorter)
{
	GArray *cycle = g_array_new(FALSE, FALSE, sizeof(guint));
	g_autofree bool *seen = g_new0(bool, sorter->n + 1);
	guint node = 0, start;

	while (sorter->waiting[node] == 0)
		node++;
	while (!seen[node]) {
		seen[node] = true;
		node = find_blocker(sorter, node);
	}
	start = node;
	do {
		g_array_prepend_val(cycle, node);
		node = find_blocker(sorter, node);
	} while (node != start);
	return cycle;
}

bool sf_order_sort(const SfOrderNode *nodes, guint n, const GArray *edges, GArray **out_order,
		   GArray **out_cycle)
{
	g_autofree guint *rank = g_new0(guint, n + 1);
	g_autofree guint *waiting = g_new0(guint, n + 1);
	g_autoptr(GArray) order = NULL;
	Sorter sorter = {.nodes = nodes, .n = n, .rank = rank, .waiting = waiting};

	sorter.before = neighbours_new(n, edges, true);
	sorter.after = neighbours_new(n, edges, false);
	rank_nodes(&sorter);
	order = take_all(&sorter);
	if (order->len == n)
		*out_order = g_steal_pointer(&order);
	else
		*out_cycle = find_cycle(&sorter);
	neighbours_clear(&sorter.before);
	neighbours_clear(&sorter.after);
	return order == NULL;
}
