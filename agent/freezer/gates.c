/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The edges and barriers of the core's plan, and who must wait because of them. Invariant: an edge
 * runs with the freezing order, so that nobody waits for himself. Called by core.c.
 */
#include "agent/freezer/gates.h"

void sf_gates_add(struct sf_core *core, struct sf_edge edge)
{
	struct sf_target *before = &core->targets[edge.before], *after = &core->targets[edge.after];
	unsigned int index = core->edge_count++;

	core->edges[index] =
		(struct sf_core_edge){edge.before, edge.after, before->leaving, after->coming};
	before->leaving = after->coming = index;
}

bool sf_gates_freeze_must_wait(const struct sf_core *core, unsigned int index)
{
	for (unsigned int e = core->targets[index].coming; e != SF_NO_EDGE;
	     e = core->edges[e].next_coming)
		if (core->targets[core->edges[e].before].job != SF_JOB_NONE)
			return true;
	for (unsigned int i = 0; i < index; i++)
		if (core->targets[i].is_barrier && core->targets[i].job != SF_JOB_NONE)
			return true;
	return false;
}

static bool holds_up_a_thaw(const struct sf_target *target)
{
	return target->is_frozen && !target->is_slow;
}

/* What was frozen after @index because of it must be thawed before it; but nobody waits for a dead
 * disk. */
bool sf_gates_thaw_must_wait(const struct sf_core *core, unsigned int index)
{
	for (unsigned int e = core->targets[index].leaving; e != SF_NO_EDGE;
	     e = core->edges[e].next_leaving)
		if (holds_up_a_thaw(&core->targets[core->edges[e].after]))
			return true;
	if (core->targets[index].is_barrier)
		for (unsigned int i = index + 1; i < core->count; i++)
			if (holds_up_a_thaw(&core->targets[i]))
				return true;
	return false;
}
