/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the freezer says, as agent/session-freezer.c takes it. Called by the walk, through world.c.
 */
#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

static void on_frozen(struct world *world, unsigned int count)
{
	preparation_restore_limits(world);
	if (world->agent.state != SF_STATE_FREEZING)
		return;
	world->agent.heard_frozen = count;
	/* sf_evidence_take(): the counters at once */
	for (unsigned int i = 0; i < target_count(); i++)
		world->targets[i].is_written = false;
	world->agent.looks = LOOK_AFTER_FREEZE;
}

static void on_taken(struct world *world)
{
	struct agent *agent = &world->agent;

	if (world->record.hooks && world->hook_lost) {
		session_hook_lost(world);
		return;
	}
	agent->outcome_frozen = agent->heard_frozen;
	session_handle(world, agent->heard_frozen > 0 ? SF_EVENT_FROZEN : SF_EVENT_FROZEN_NOTHING);
}

/* on_taken(), and on_looked() of session-requests.c */
void session_tables_read(struct world *world)
{
	uint8_t looks = world->agent.looks;

	world->agent.looks = LOOK_NONE;
	if (looks == LOOK_AFTER_FREEZE && world->agent.state == SF_STATE_FREEZING)
		on_taken(world);
	else if (looks == LOOK_BEFORE_THAW && world->agent.state == SF_STATE_FROZEN)
		session_handle(world, SF_EVENT_THAW);
}

static void on_ending(struct world *world, enum sf_end reason)
{
	if (reason == SF_END_FAILED || reason == SF_END_TIMEOUT)
		session_handle(world, SF_EVENT_FREEZE_FAILED);
	else if (reason != SF_END_REQUEST && reason != SF_END_FREEZER_GONE /* STOPPED, packed */)
		session_handle(world, SF_EVENT_EXPIRED);
}

static void on_slow(struct world *world)
{
	if (!world->agent.retry)
		world->agent.retry = RETRY_SLOW;
	session_handle(world, SF_EVENT_SLOW);
}

static void on_ended(struct world *world)
{
	world->agent.retry = RETRY_NONE;
	session_handle(world, SF_EVENT_ENDED);
}

void session_hear(struct world *world)
{
	uint8_t item = queue_pop(&world->agent.inbox);
	unsigned int kind = item & 31, more = item >> 5;

	link_note_message(&world->agent, kind);
	if (preparation_takes(world, kind))
		return;
	if (kind == SF_MESSAGE_FROZEN)
		on_frozen(world, more);
	else if (kind == SF_MESSAGE_EXTENDED)
		session_answer_extend(world, true);
	else if (kind == SF_MESSAGE_ENDING)
		on_ending(world, more);
	else if (kind == SF_MESSAGE_DRAINING)
		session_handle(world, SF_EVENT_DRAINING);
	else if (kind == SF_MESSAGE_SLOW)
		on_slow(world);
	else if (kind == SF_MESSAGE_ENDED)
		on_ended(world);
}

/* on_freezer_gone() */
void session_link_gone(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->is_gone = true;
	agent->ticks = agent->acknowledge = agent->has_deadline = false;
	agent->inbox = (struct queue){0};
	property_spoil(world);
	if (agent->state == SF_STATE_THAWED || agent->state == SF_STATE_EXPIRED ||
	    agent->state == SF_STATE_RELEASING)
		link_free(world);
	session_handle(world, SF_EVENT_FREEZER_GONE);
}
