/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's glue around the real sf_transition(): what agent/session.c, session-requests.c,
 * preparation.c, outcome.c and freezer-link.c do with its actions and the freezer's messages. Each
 * function here has the name of the one there that it mirrors; where one of those changes, this
 * does.
 */
#include <stddef.h>

#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

#define MAX_TRIES 3

/* freezer-link.c */

static void ensure_freezer(struct world *world)
{
	struct agent *agent = &world->agent;

	if (agent->has_link)
		return;
	freezer_start(world);
	agent->has_link = true;
	agent->is_gone = agent->ticks = agent->acknowledge = agent->has_deadline = false;
	agent->inbox = (struct queue){0};
}

static void free_link(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->has_link = agent->is_gone = agent->ticks = agent->acknowledge = false;
	agent->has_deadline = false;
	agent->inbox = (struct queue){0};
	world->freezer.is_orphan = world->freezer.process != PROCESS_DEAD;
}

static bool link_send(struct world *world, enum to_freezer what)
{
	if (!world->agent.has_link) {
		world_blame("a message to a freezer that was let go of");
		return false;
	}
	if (world->agent.is_gone)
		return false;
	if (world->freezer.process == PROCESS_ALIVE || world->freezer.process == PROCESS_STOPPED)
		if (!world->freezer.agent_gone)
			queue_push(&world->freezer.inbox, what);
	return true;
}

static void link_send_thaw(struct world *world, enum to_freezer what)
{
	world->agent.acknowledge = true;
	(void)link_send(world, what);
}

static void note_message(struct agent *agent, unsigned int kind)
{
	if (kind == SF_MESSAGE_FROZEN || kind == SF_MESSAGE_EXTENDED)
		agent->has_deadline = true;
	if (kind == SF_MESSAGE_ENDING || kind == SF_MESSAGE_ENDED)
		agent->acknowledge = false;
	if (kind == SF_MESSAGE_ENDING)
		agent->has_deadline = false;
	if (kind == SF_MESSAGE_ENDED)
		agent->ticks = false;
}

bool link_is_watched(const struct world *world)
{
	const struct agent *agent = &world->agent;

	return agent->has_link && !agent->is_gone;
}

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

static void answer_extend(struct world *world, bool is_good)
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
		world->record.verdict =
			agent->is_consistent ? SF_VERDICT_CONSISTENT : SF_VERDICT_INCONSISTENT;
	}
	if (agent->outcome_frozen == 0)
		agent->outcome_id = world->record.begun = 0;
}

/* throttle.c */
static void throttle_restore(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->throttle = THROTTLE_OFF;
	if (agent->is_limiting)
		agent->is_limiting = world->record.limits = world->is_limited = false;
}

static void free_preparation(struct world *world)
{
	world->agent.preparation = PREPARATION_NONE;
	world->agent.throttle = THROTTLE_OFF;
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

	free_preparation(world);
	if (is_handed_over)
		link_send_thaw(world, agent->is_leaving ? SAY_STOP : SAY_THAW);
	else
		agent->drop = true;
}

static void do_rescue(struct world *world)
{
	struct agent *agent = &world->agent;

	free_preparation(world);
	throttle_restore(world);
	world->record.end = SF_END_FREEZER_GONE;
	if (agent->rescue)
		return;
	agent->drop = false;
	rescue_start(world, true);
	agent->retry = RETRY_SLOW;
}

static void do_send_freeze(struct world *world)
{
	free_preparation(world);
	(void)link_send(world, SAY_FREEZE);
}

static void do_close(struct world *world)
{
	struct agent *agent = &world->agent;

	free_preparation(world);
	throttle_restore(world);
	if (!agent->recovery)
		close_freeze(world);
	agent->has_plan = false;
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

static unsigned int transit(struct agent *agent, SfEvent event)
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
	unsigned int actions = transit(&world->agent, event);
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
		answer_extend(world, false);
	}
	if (actions & SF_DO_ANSWER_THAW)
		answer_thaws(world, is_over && world->agent.outcome_frozen > 0);
	if (actions & SF_DO_LEAVE)
		session_leave(world);
	if (actions & SF_DO_RELEASE)
		do_release(world);
}

/* The freezer's messages. */

static void on_frozen(struct world *world, unsigned int count)
{
	throttle_restore(world);
	if (world->record.hooks && world->hook_lost) {
		session_hook_lost(world);
		return;
	}
	world->agent.outcome_frozen = count;
	/* sf_evidence_take() */
	for (unsigned int i = 0; i < target_count(); i++)
		world->targets[i].is_written = false;
	session_handle(world, count > 0 ? SF_EVENT_FROZEN : SF_EVENT_FROZEN_NOTHING);
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

static bool preparation_takes(struct world *world, unsigned int kind)
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

void session_hear(struct world *world)
{
	uint8_t item = queue_pop(&world->agent.inbox);
	unsigned int kind = item & 31, more = item >> 5;

	note_message(&world->agent, kind);
	if (preparation_takes(world, kind))
		return;
	if (kind == SF_MESSAGE_FROZEN)
		on_frozen(world, more);
	else if (kind == SF_MESSAGE_EXTENDED)
		answer_extend(world, true);
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
		free_link(world);
	session_handle(world, SF_EVENT_FREEZER_GONE);
}

/* preparation.c: what its messages and waits lead to. */

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
	throttle_restore(world);
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

/* on_hook_lost() */
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
	free_link(world);
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

/* session-requests.c, and session.c's sf_session_stop() */

static void forget_last_freeze(struct agent *agent)
{
	agent->outcome_id = agent->outcome_frozen = agent->is_consistent = agent->is_blamed = 0;
	agent->outcome_host = agent->thawed_by = 0;
	agent->has_plan = false;
	agent->tries = agent->has_run_hooks = 0;
}

static void ask_freeze(struct world *world, unsigned int host)
{
	struct agent *agent = &world->agent;

	if (transit(agent, SF_EVENT_FREEZE) & SF_DO_REFUSE_FREEZE) {
		property_answer(world, host, WISH_FREEZE, false);
		return;
	}
	property_freeze_begins(world);
	agent->freeze_waits = 1 + host;
	forget_last_freeze(agent);
	agent->outcome_id = world->record.id + 1;
	agent->outcome_host = host;
	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		world->hosts[i].was_told_frozen = false;
	world->ghost = (struct ghost){0};
	ensure_freezer(world);
	agent->preparation = PREPARATION_OPENS;
}

static void ask_thaw(struct world *world, unsigned int host)
{
	struct agent *agent = &world->agent;

	if (agent->state == SF_STATE_FROZEN || agent->state == SF_STATE_FREEZING)
		agent->thawed_by = host;
	session_handle(world, SF_EVENT_THAW);
}

static void ask_extend(struct world *world, unsigned int host)
{
	struct agent *agent = &world->agent;

	if (agent->state == SF_STATE_FROZEN && !agent->extend_waits && link_send(world, SAY_EXTEND))
		agent->extend_waits = 1 + host;
	else
		property_answer(world, host, WISH_EXTEND, false);
}

void session_ask(struct world *world, unsigned int host, enum wish wish)
{
	world->hosts[host].wish = wish;
	if (wish == WISH_FREEZE)
		ask_freeze(world, host);
	else if (wish == WISH_THAW)
		ask_thaw(world, host);
	else
		ask_extend(world, host);
}

void session_give_up(struct world *world, unsigned int host)
{
	if (world->agent.freeze_waits == 1 + host && world->agent.state == SF_STATE_PREPARING)
		session_handle(world, SF_EVENT_GIVEN_UP);
}

void session_stop(struct world *world)
{
	world->agent.leave = true;
	session_handle(world, SF_EVENT_STOP);
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
	ensure_freezer(world);
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
		ensure_freezer(world);
		session_load_outcome(world);
		session_recover_hooks(agent, &world->record);
		return;
	}
	agent->state = SF_STATE_THAWING;
	agent->was_begun = ours > 0;
	agent->retry = RETRY_SLOW;
	recovery_begin(world);
}
