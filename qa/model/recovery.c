/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The next agent's way: what agent/recovery.c does around the real rescue. It waits for the old
 * freezer, opens what the record calls ours at that moment, and has it thawed.
 */
#include "agent/freezer/record.h"
#include "qa/model/parts.h"

/* sf_recovery_start() */
void recovery_begin(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->recovery = RECOVERY_BEGINS;
	agent->ours_before = record_count_ours(world);
	agent->ways = agent->has_pidfd = agent->trouble = 0;
}

/* begin_thaw() */
static void begin_thaw(struct world *world)
{
	world->agent.recovery = RECOVERY_THAWS;
	rescue_start(world, world->agent.has_pidfd);
}

/* begin_opening() and find_ways() */
static void begin_opening(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->recovery = RECOVERY_OPENS;
	for (unsigned int i = 0; i < target_count(); i++)
		if (record_entry_is_ours(world->targets[i].entry))
			agent->ways |= 1u << i;
	if (agent->ways == 0)
		begin_thaw(world);
}

/* on_begin(); on_old_freezer_ended() or on_grace_over(); the last on_opened() */
void recovery_step(struct world *world)
{
	struct agent *agent = &world->agent;

	if (agent->recovery == RECOVERY_BEGINS) {
		agent->has_pidfd =
			world->record.knows_freezer && world->freezer.process != PROCESS_DEAD;
		if (agent->has_pidfd)
			agent->recovery = RECOVERY_WAITS;
		else
			begin_opening(world);
	} else if (agent->recovery == RECOVERY_WAITS) {
		if (world->freezer.process != PROCESS_DEAD)
			freezer_kill(world);
		begin_opening(world);
	} else {
		begin_thaw(world);
	}
}

void recovery_way_fails(struct world *world, unsigned int index)
{
	world->agent.ways &= ~(1u << index);
	world->agent.trouble = true;
}

/* on_rescued() */
void recovery_rescued(struct world *world)
{
	struct agent *agent = &world->agent;
	unsigned int left = record_count_ours(world);

	if (world->record.end == SF_END_NONE && agent->ours_before > 0)
		world->record.end = SF_END_RECOVERED;
	if (left == 0) {
		world->record.knows_freezer = false;
		agent->trouble = false;
	} else {
		agent->trouble = true;
	}
	session_on_recovered(world, agent->trouble);
}
