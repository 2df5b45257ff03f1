/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must hold in every state that can be reached. That a way leads from each to rest is the
 * walk's own part (walk.c).
 */
#include "agent/freezer/core.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

static bool is_ours_frozen(const struct world *world)
{
	for (unsigned int i = 0; i < target_count(); i++)
		if (world->targets[i].kernel == KERNEL_OURS)
			return true;
	return false;
}

/* A fault between the answer to freeze and the thaw. */
void property_spoil(struct world *world)
{
	if (world->ghost.is_open)
		world->ghost.is_spoiled = true;
}

/* What somebody else thawed before the evidence was taken does not count by itself: as long as
 * nothing is written it is what was frozen. Each write from here on does. */
static void open_window(struct world *world)
{
	world->ghost = (struct ghost){.is_open = true, .is_late = world->ghost.is_late};
	for (unsigned int i = 0; i < target_count(); i++) {
		const struct target *target = &world->targets[i];
		if (target->entry != SF_ENTRY_FROZEN && target->entry != SF_ENTRY_SYNCED &&
		    target->entry != SF_ENTRY_FOREIGN &&
		    /* The agent hears of it when the freezer has gone on. */
		    target->entry != SF_ENTRY_THAWING && target->entry != SF_ENTRY_THAWED)
			world_blame("a freeze is answered before all is frozen");
		if (target->entry == SF_ENTRY_FOREIGN ||
		    (target->kernel == KERNEL_FOREIGN && !target->is_unclear))
			world->ghost.is_spoiled = true;
	}
	if (world->freezer.phase != SF_PHASE_FROZEN)
		world->ghost.is_spoiled = true;
}

static void check_thaw(const struct world *world, const struct host *host)
{
	if (is_ours_frozen(world))
		world_blame("a thaw is answered with success, and something is frozen");
	if (host->was_told_frozen && (world->ghost.is_spoiled || world->ghost.is_open))
		world_blame("called consistent after a fault");
}

/* Nothing but requests happened: then the word must be said, too. */
void property_said_inconsistent(const struct world *world, unsigned int host)
{
	const struct budget *left = &world->budget, *whole = &world_variant->budget;
	bool is_undisturbed = left->faults == whole->faults && left->errors == whole->errors &&
			      left->foreign == whole->foreign && left->stops == whole->stops;

	if (is_undisturbed && !world->ghost.is_late && world->hosts[host].was_told_frozen)
		world_blame("called inconsistent without a fault");
}

void property_said_consistent(const struct world *world)
{
	if (world->ghost.is_spoiled || world->ghost.is_open)
		world_blame("called consistent after a fault");
}

void property_answer(struct world *world, unsigned int index, enum wish wish, bool is_good)
{
	struct host *host = &world->hosts[index];

	if (host->wish != wish)
		world_blame("answered what was not asked, or twice");
	host->wish = WISH_NONE;
	if (wish == WISH_FREEZE && is_good) {
		host->was_told_frozen = world->agent.outcome_frozen > 0;
		if (host->was_told_frozen)
			open_window(world);
		else if (is_ours_frozen(world))
			world_blame("an empty freeze is answered, and something is frozen");
	}
	if (wish == WISH_THAW && world->record.hooks && world->agent.outcome_id)
		world_blame("a thaw is answered, and a hook still holds");
	if (wish == WISH_FREEZE && is_good && world->record.hooks && world->hook_lost)
		world_blame("a freeze is answered whose hook does not hold");
	if (wish == WISH_THAW && is_good)
		check_thaw(world, host);
}

/* A freeze was accepted. */
void property_freeze_begins(const struct world *world)
{
	bool is_over = world->freezer.process != PROCESS_KILLED && !world->agent.rescue &&
		       !world->agent.recovery;

	for (unsigned int i = 0; i < target_count(); i++) {
		const struct target *target = &world->targets[i];
		is_over &= target->kernel != KERNEL_OURS && target->op == OP_NONE &&
			   !target->child && !child_is_within_thaw(target->orphan);
	}
	if (!is_over)
		world_blame("a freeze begins before the last one is over");
}

static bool edge(unsigned int before, unsigned int after)
{
	return (after == before + 1 && world_variant->edges >> before & 1) ||
	       (before < after && world_variant->barriers >> before & 1);
}

/* The freezer ends by itself. */
void property_freezer_leaves(const struct world *world)
{
	bool is_within = false;

	for (unsigned int i = 0; i < target_count(); i++)
		is_within |= world->targets[i].op == OP_FREEZE;
	if (is_within || is_ours_frozen(world))
		world_blame("the freezer leaves something frozen");
}

/* The core has a job begin: edges and barriers, both ways. */
void property_start(const struct world *world, unsigned int index, enum op op)
{
	for (unsigned int i = 0; i < target_count(); i++) {
		const struct target *other = &world->targets[i];
		if (op == OP_FREEZE && edge(i, index) && other->job != SF_JOB_NONE)
			world_blame("a freeze begins before what must be frozen first");
		if (op == OP_THAW && edge(index, i) && other->is_frozen && !other->is_slow)
			world_blame("a thaw begins before what must be thawed first");
	}
	if (op == OP_FREEZE && world->freezer.phase == SF_PHASE_ENDING)
		world_blame("a freeze begins after the ending did");
}

/* sf_session_is_frozen(). The record alone would always do, as the property before this one says;
 * that the session knows what it does itself, without it, is worth more. */
static bool status_is_frozen(const struct agent *agent)
{
	SfState state = {.name = agent->state, .was_begun = agent->was_begun};

	return sf_state_is_frozen(&state) || agent->recovery || agent->retry == RETRY_RECOVER;
}

void properties_check(const struct world *world)
{
	for (unsigned int i = 0; i < target_count(); i++)
		if (world->targets[i].kernel == KERNEL_OURS &&
		    !record_entry_is_ours(world->targets[i].entry))
			world_blame("something of ours is frozen, and the record does not say so");
	if (world->agent.process == PROCESS_ALIVE && is_ours_frozen(world) &&
	    !status_is_frozen(&world->agent))
		world_blame("status says thawed, and something of ours is frozen");
	if (world->agent.process == PROCESS_ALIVE && world->agent.rescue &&
	    (world->agent.state == SF_STATE_THAWED || world->agent.state == SF_STATE_EXPIRED))
		world_blame("the session is at rest, and its rescue is not over");
}

/* Nothing of ours is frozen, nobody waits, and a freeze would be accepted; or a stopped agent holds
 * nothing but itself. */
bool world_is_at_rest(const struct world *world)
{
	const struct agent *agent = &world->agent;
	bool is_idle = agent->state == SF_STATE_THAWED || agent->state == SF_STATE_EXPIRED;

	if (is_ours_frozen(world) || world->is_limited || agent->process == PROCESS_DEAD)
		return false;
	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		is_idle &= world->hosts[i].wish == WISH_NONE;
	return agent->process == PROCESS_STOPPED ||
	       (is_idle && !agent->rescue && !agent->recovery && !world->record.hooks &&
		!world->record.limits);
}

bool world_is_served(const struct world *world)
{
	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		if (world->agent.process == PROCESS_ALIVE && world->hosts[i].wish != WISH_NONE)
			return false;
	return world->agent.process == PROCESS_ALIVE ||
	       (!is_ours_frozen(world) && !world->is_limited);
}
