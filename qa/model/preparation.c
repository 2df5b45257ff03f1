/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What agent/preparation.c does around its waits, and agent/throttle.c with the limits of dirty
 * memory. Each function has the name of the one that it mirrors.
 */
#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

#define MAX_TRIES 3

/* throttle.c */
void preparation_restore_limits(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->throttle = THROTTLE_OFF;
	if (agent->is_limiting)
		agent->is_limiting = world->record.limits = world->is_limited = false;
}

void preparation_free(struct world *world)
{
	world->agent.preparation = PREPARATION_NONE;
	world->agent.throttle = THROTTLE_OFF;
}

bool preparation_takes(struct world *world, unsigned int kind)
{
	struct agent *agent = &world->agent;

	if (agent->preparation == PREPARATION_NONE)
		return false;
	if (kind == SF_MESSAGE_FLUSHED) {
		agent->preparation = PREPARATION_SETTLES;
		return true;
	}
	if (agent->preparation != PREPARATION_DROPS)
		return false;
	if (kind == SF_MESSAGE_ENDED)
		agent->preparation = PREPARATION_OPENS;
	return true;
}

static void finish_preparation(struct world *world, SfEvent event)
{
	session_handle(world, event);
}

static void send_flush(struct world *world)
{
	world->agent.preparation = PREPARATION_FLUSHES;
	if (!link_send(world, SAY_FLUSH))
		finish_preparation(world, SF_EVENT_PREPARE_FAILED);
}

/* sf_throttle_begin(), and the wait that there is only if it looks */
static void begin_throttle(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->throttle = THROTTLE_OFF;
	if (world_variant->has_limits && !agent->is_limiting && !world->record.limits)
		agent->throttle = THROTTLE_LOOKS;
	if (agent->throttle == THROTTLE_OFF)
		send_flush(world);
}

/* sf_record_begin(), and all the rest of hand_over() */
static void hand_over(struct world *world)
{
	struct agent *agent = &world->agent;
	struct record *record = &world->record;

	record->id = agent->outcome_id;
	record->host = agent->outcome_host;
	record->begun = record->end = record->verdict = 0;
	for (unsigned int i = 0; i < target_count(); i++) {
		struct target *target = &world->targets[i];
		target->entry = target->entry_error = target->is_unclear = 0;
	}
	agent->preparation = PREPARATION_LOWERS;
	agent->ticks = true;
	if (link_send(world, SAY_PLAN))
		begin_throttle(world);
	else
		finish_preparation(world, SF_EVENT_PREPARE_FAILED);
}

static void drop_plan(struct world *world)
{
	if (++world->agent.tries == MAX_TRIES) {
		finish_preparation(world, SF_EVENT_PREPARE_FAILED);
		return;
	}
	world->agent.preparation = PREPARATION_DROPS;
	preparation_restore_limits(world);
	link_send_thaw(world, SAY_THAW);
}

static void finish_well(struct world *world)
{
	world->agent.has_plan = true;
	finish_preparation(world, SF_EVENT_PREPARED);
}

/* go_on_flushed(); hooks are noted before they are started */
static void go_on_flushed(struct world *world)
{
	struct agent *agent = &world->agent;

	if (agent->has_run_hooks || !world_variant->has_hooks) {
		finish_well(world);
		return;
	}
	agent->preparation = PREPARATION_HOOKS;
	world->record.hooks = true;
	world->hook_lost = false;
}

/* @choice: as list_preparation() in world.c has it */
void session_prepared(struct world *world, unsigned int choice)
{
	struct agent *agent = &world->agent;

	agent->has_run_hooks |= agent->preparation == PREPARATION_HOOKS;
	if (choice == 1)
		finish_preparation(world, SF_EVENT_PREPARE_FAILED);
	else if (choice == 2)
		finish_preparation(world, SF_EVENT_FROZEN_NOTHING);
	else if (choice == 3)
		drop_plan(world);
	else if (agent->preparation == PREPARATION_OPENS)
		hand_over(world);
	else if (agent->preparation == PREPARATION_SETTLES)
		go_on_flushed(world);
	else
		send_flush(world);
}

/* throttle.c: set_limits() */
void session_limit(struct world *world)
{
	struct agent *agent = &world->agent;

	if (!agent->is_limiting)
		agent->is_limiting = world->record.limits = world->is_limited = true;
	else if (!world->is_limited)
		agent->throttle = THROTTLE_OFF; /* give_up(): it is not ours any more */
}
