/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's glue around the real sf_transition(): what agent/session.c, session-close.c,
 * session-recovery.c, evidence.c and outcome.c do with its actions and the
 * freezer's messages. Each function here has the name of the one there that it mirrors; where one
 * of those changes, this does.
 */
#include <stddef.h>

#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

/* waiters.c: the answers */

static void answer_freeze(struct world *world, bool is_good)
{
	uint8_t waits = world->agent.freeze_waits;

	world->agent.freeze_waits = 0;
	if (!waits)
		return;
	if (!is_good && world->record.hooks)
		world_blame("a freeze is answered to have failed, and a hook still holds");
	property_answer(world, waits - 1, WISH_FREEZE, is_good);
}

void session_answer_extend(struct world *world, bool is_good)
{
	uint8_t waits = world->agent.extend_waits;

	world->agent.extend_waits = 0;
	if (waits)
		property_answer(world, waits - 1, WISH_EXTEND, is_good);
}

/* outcome.c: sf_outcome_complain(), as guest-fsfreeze-thaw uses it. */
static bool complains(const struct agent *agent, unsigned int host)
{
	return agent->outcome_id && agent->outcome_host == host &&
	       (!agent->is_consistent || agent->thawed_by != host);
}

/* outcome.c: sf_outcome_settle() and evidence.c: sf_evidence_hear_thaw() */
static void close_freeze(struct world *world)
{
	struct agent *agent = &world->agent;

	if (agent->has_plan && agent->outcome_frozen > 0) {
		for (unsigned int i = 0; i < target_count(); i++)
			if (world->targets[i].entry == SF_ENTRY_THAWED &&
			    world->targets[i].entry_error)
				agent->is_blamed = true;
		if (world->record.end != SF_END_REQUEST || agent->is_blamed)
			agent->is_consistent = false;
		else if (!agent->is_consistent)
			world_blame("called inconsistent, and nothing says why");
		world->record.verdict =
			agent->is_consistent ? SF_VERDICT_CONSISTENT : SF_VERDICT_INCONSISTENT;
	}
	if (agent->outcome_frozen == 0)
		agent->outcome_id = world->record.begun = 0;
}

/* The actions. */

static void do_judge(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->is_consistent = true;
	for (unsigned int i = 0; i < target_count(); i++)
		if (world->targets[i].is_written || world->targets[i].entry == SF_ENTRY_FOREIGN)
			agent->is_blamed = true;
	world->ghost.is_open = false;
}

static void do_end(struct world *world)
{
	struct agent *agent = &world->agent;
	bool is_handed_over = agent->was_begun || agent->preparation >= PREPARATION_LOWERS;

	preparation_free(world);
	if (is_handed_over)
		link_send_thaw(world, agent->is_leaving ? SAY_STOP : SAY_THAW);
	else
		agent->drop = true;
}

static void do_rescue(struct world *world)
{
	struct agent *agent = &world->agent;

	preparation_free(world);
	preparation_restore_limits(world);
	world->record.end = SF_END_FREEZER_GONE;
	if (agent->rescue)
		return;
	agent->drop = false;
	rescue_start(world, true);
	agent->retry = RETRY_SLOW;
}

static void do_send_freeze(struct world *world)
{
	preparation_free(world);
	(void)link_send(world, SAY_FREEZE);
}

static void do_close(struct world *world)
{
	struct agent *agent = &world->agent;

	preparation_free(world);
	preparation_restore_limits(world);
	if (!agent->recovery)
		close_freeze(world);
	agent->has_plan = false;
	agent->looks = LOOK_NONE;
}

static void answer_thaws(struct world *world, bool was_frozen)
{
	const struct agent *agent = &world->agent;

	for (unsigned int host = 0; host < MODEL_HOSTS; host++) {
		if (world->hosts[host].wish != WISH_THAW)
			continue;
		bool is_good = agent->state != SF_STATE_DRAINING &&
			       (was_frozen ? agent->is_consistent : !complains(agent, host));
		if (is_good && was_frozen)
			property_said_consistent(world);
		else if (was_frozen && agent->state != SF_STATE_DRAINING)
			property_said_inconsistent(world, host);
		property_answer(world, host, WISH_THAW, is_good);
	}
}

void session_leave(struct world *world)
{
	agent_end(world);
}

/* The answer comes later; at once is one of the orders in which that can be. */
static void do_release(struct world *world)
{
	if (world->agent.release)
		world_blame("the hooks are released twice");
	world->agent.release = true;
}

void session_released(struct world *world)
{
	world->agent.release = false;
	world->record.hooks = world->hook_lost = false;
	session_handle(world, SF_EVENT_RELEASED);
}

static SfState get_state(const struct agent *agent)
{
	return (SfState){.name = agent->state,
			 .was_begun = agent->was_begun,
			 .is_asked = agent->is_asked,
			 .is_empty = agent->is_empty,
			 .is_leaving = agent->is_leaving,
			 .is_releasing = agent->is_releasing,
			 .was_released = agent->was_released};
}

unsigned int session_transit(struct agent *agent, int event)
{
	SfState state = get_state(agent);
	unsigned int actions = sf_transition(&state, event);

	agent->state = state.name;
	agent->was_begun = state.was_begun;
	agent->is_asked = state.is_asked;
	agent->is_empty = state.is_empty;
	agent->is_leaving = state.is_leaving;
	agent->is_releasing = state.is_releasing;
	agent->was_released = state.was_released;
	return actions;
}

void session_handle(struct world *world, int event)
{
	unsigned int actions = session_transit(&world->agent, event);
	bool is_over = event == SF_EVENT_RELEASED || event == SF_EVENT_ENDED;

	if (actions & SF_DO_JUDGE)
		do_judge(world);
	if (actions & SF_DO_END)
		do_end(world);
	if (actions & SF_DO_RESCUE)
		do_rescue(world);
	if (actions & SF_DO_SEND_FREEZE)
		do_send_freeze(world);
	if (actions & SF_DO_CLOSE)
		do_close(world);
	if (actions & SF_DO_ANSWER_FREEZE)
		answer_freeze(world, true);
	if (actions & SF_DO_FAIL_FREEZE) {
		answer_freeze(world, false);
		session_answer_extend(world, false);
	}
	if (actions & SF_DO_ANSWER_THAW)
		answer_thaws(world, is_over && world->agent.outcome_frozen > 0);
	if (actions & SF_DO_LEAVE)
		session_leave(world);
	if (actions & SF_DO_RELEASE)
		do_release(world);
}

/* sf_session_lose_hook() */
void session_hook_lost(struct world *world)
{
	world->hook_lost = 2; /* and heard of */
	session_handle(world, SF_EVENT_HOOK_LOST);
}

/* on_drop_unsent() */
void session_drop(struct world *world)
{
	world->agent.drop = false;
	session_handle(world, SF_EVENT_ENDED);
}

/* on_rescued() */
static void on_rescued(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->retry = RETRY_NONE;
	link_free(world);
	session_handle(world, SF_EVENT_ENDED);
}

void session_look(struct world *world)
{
	if (!rescue_look(world))
		return;
	world->agent.rescue = 0;
	for (unsigned int i = 0; i < target_count(); i++)
		world->targets[i].is_tried = 0;
	if (world->agent.recovery)
		recovery_rescued(world);
	else
		on_rescued(world);
}

/* on_thaw_slow(), on_recover_again() */
void session_retry_timer(struct world *world)
{
	struct agent *agent = &world->agent;
	enum retry what = agent->retry;

	agent->retry = RETRY_NONE;
	if (what == RETRY_SLOW)
		session_handle(world, SF_EVENT_DRAINING);
	else
		recovery_begin(world);
}

/* sf_outcome_load() */
void session_load_outcome(struct world *world)
{
	struct agent *agent = &world->agent;
	const struct record *record = &world->record;

	agent->outcome_id = agent->is_consistent = agent->is_blamed = 0;
	if (record->id == 0 || !record->begun || record->end == SF_END_FAILED ||
	    record->end == SF_END_TIMEOUT)
		return;
	agent->outcome_id = record->id;
	agent->outcome_host = record->host;
	agent->is_consistent = record->verdict == SF_VERDICT_CONSISTENT;
	agent->thawed_by = agent->outcome_host;
	agent->is_blamed = !agent->is_consistent;
}

/* recovery.c's end: on_recovered() of session.c */
void session_on_recovered(struct world *world, bool has_trouble)
{
	struct agent *agent = &world->agent;

	agent->retry = RETRY_NONE;
	session_load_outcome(world);
	if (has_trouble) {
		agent->recovery = RECOVERY_NONE;
		agent->retry = RETRY_RECOVER;
		session_handle(world, SF_EVENT_DRAINING);
		return;
	}
	session_handle(world, SF_EVENT_ENDED);
	if (world->agent.process == PROCESS_DEAD)
		return;
	agent->recovery = RECOVERY_NONE;
	link_start(world);
}

static void session_recover_hooks(struct agent *agent, const struct record *record)
{
	if (!record->hooks)
		return;
	agent->state = SF_STATE_RELEASING;
	agent->is_asked = agent->is_releasing = true;
	agent->release = true;
}

/* sf_session_new() */
void session_begin(struct world *world)
{
	struct agent *agent = &world->agent;
	unsigned int ours = record_count_ours(world);

	*agent = (struct agent){.process = PROCESS_ALIVE, .state = SF_STATE_THAWED};
	/* sf_throttle_recover() */
	if (world->record.limits)
		world->record.limits = world->is_limited = false;
	/* sf_recovery_is_needed() */
	if (ours == 0 && (!world->record.knows_freezer || world->freezer.process == PROCESS_DEAD)) {
		link_start(world);
		session_load_outcome(world);
		session_recover_hooks(agent, &world->record);
		return;
	}
	agent->state = SF_STATE_THAWING;
	agent->was_begun = ours > 0;
	agent->retry = RETRY_SLOW;
	recovery_begin(world);
}
