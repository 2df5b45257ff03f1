/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/plan.h"

typedef struct {
	guint mounted;   /* when: a higher number is later; each node has another */
	bool is_barrier; /* before all that was mounted earlier, unless an edge contradicts */
} SfOrderNode;

/**
 * sf_order_sort:
 * @nodes: @n of them
 * @edges: of SfPlanEdge, indices into @nodes
 * @out_order: of guint, indices into @nodes: the last mounted first, wherever no edge says
 * otherwise
 * @out_cycle: of guint: where there is no order, the members of one cycle, each before the next
 *
 * Returns: whether there is an order. One of the two is set; the caller frees it.
 */
bool sf_order_sort(const SfOrderNode *nodes, guint n, const GArray *edges, GArray **out_order,
		   GArray **out_cycle) G_GNUC_WARN_UNUSED_RESULT;
