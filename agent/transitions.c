/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session's transitions, one function per state. The invariant that the model checks: from
 * every state in which something may be frozen, an event that must come (ended, freezer gone) leads
 * out of it; and nobody is answered that a freeze is over before its hooks are released.
 */
#include "agent/transitions.h"

static unsigned int idle(SfState *state, SfEvent event)
{
	switch (event) {
	case SF_EVENT_FREEZE:
		*state = (SfState){.name = SF_STATE_PREPARING};
		return SF_DO_PREPARE;
	case SF_EVENT_THAW:
		return SF_DO_ANSWER_THAW;
	case SF_EVENT_STOP:
		return SF_DO_LEAVE;
	default:
		return 0;
	}
}

static void begin_ending(SfState *state, bool is_asked)
{
	state->name = SF_STATE_THAWING;
	state->is_asked = is_asked;
}

/* Not answered yet: whoever reads 0 must find "thawed", and may freeze again. */
static unsigned int end_empty(SfState *state)
{
	begin_ending(state, true);
	state->is_empty = true;
	return SF_DO_END;
}

/* Before the freeze was answered, whoever ends it is the one that is told. */
static unsigned int give_up(SfState *state, SfEvent event)
{
	begin_ending(state, true);
	state->is_leaving = event == SF_EVENT_STOP;
	return event == SF_EVENT_FREEZER_GONE ? SF_DO_RESCUE : SF_DO_END;
}

static unsigned int preparing(SfState *state, SfEvent event)
{
	switch (event) {
	case SF_EVENT_FREEZE:
		return SF_DO_REFUSE_FREEZE;
	case SF_EVENT_PREPARED:
		state->name = SF_STATE_FREEZING;
		state->was_begun = true;
		return SF_DO_SEND_FREEZE;
	case SF_EVENT_FROZEN_NOTHING:
		return end_empty(state);
	case SF_EVENT_FREEZE_FAILED: /* of the flush: the freezer drops the plan by itself */
		begin_ending(state, true);
		return 0;
	case SF_EVENT_PREPARE_FAILED:
	case SF_EVENT_GIVEN_UP:
	case SF_EVENT_THAW:
	case SF_EVENT_STOP:
	case SF_EVENT_FREEZER_GONE:
	case SF_EVENT_HOOK_LOST:
		return give_up(state, event);
	default:
		return 0;
	}
}

static unsigned int freezing(SfState *state, SfEvent event)
{
	switch (event) {
	case SF_EVENT_FREEZE:
		return SF_DO_REFUSE_FREEZE;
	case SF_EVENT_FROZEN:
		state->name = SF_STATE_FROZEN;
		return SF_DO_ANSWER_FREEZE;
	case SF_EVENT_FROZEN_NOTHING:
		return end_empty(state);
	case SF_EVENT_FREEZE_FAILED:
	case SF_EVENT_EXPIRED:
		begin_ending(state, true);
		return 0;
	case SF_EVENT_THAW:
	case SF_EVENT_STOP:
	case SF_EVENT_FREEZER_GONE:
	case SF_EVENT_HOOK_LOST:
		return give_up(state, event);
	default:
		return 0;
	}
}

static unsigned int frozen(SfState *state, SfEvent event)
{
	switch (event) {
	case SF_EVENT_FREEZE:
		return SF_DO_REFUSE_FREEZE;
	case SF_EVENT_THAW:
		begin_ending(state, true);
		return SF_DO_JUDGE | SF_DO_END;
	case SF_EVENT_FREEZE_FAILED:
	case SF_EVENT_EXPIRED:
		begin_ending(state, false);
		return 0;
	case SF_EVENT_STOP:
		begin_ending(state, false);
		state->is_leaving = true;
		return SF_DO_END;
	case SF_EVENT_FREEZER_GONE:
		begin_ending(state, false);
		return SF_DO_RESCUE;
	default:
		return 0;
	}
}

/* Once for each freeze, at the first of the events that call for it. */
static unsigned int release(SfState *state)
{
	if (state->is_releasing || state->was_released)
		return 0;
	state->is_releasing = true;
	return SF_DO_RELEASE;
}

static void note_released(SfState *state)
{
	state->is_releasing = false;
	state->was_released = true;
}

/* Nothing is frozen, and no hook holds anything: whoever waits is told. */
static unsigned int finish(SfState *state)
{
	unsigned int leave = state->is_leaving ? SF_DO_LEAVE : 0;
	unsigned int empty = state->is_empty ? SF_DO_ANSWER_FREEZE : 0;

	*state = (SfState){.name = state->is_asked ? SF_STATE_THAWED : SF_STATE_EXPIRED};
	return empty | SF_DO_FAIL_FREEZE | SF_DO_ANSWER_THAW | leave;
}

static unsigned int end(SfState *state)
{
	if (state->was_released)
		return SF_DO_CLOSE | finish(state);
	state->name = SF_STATE_RELEASING;
	return SF_DO_CLOSE | release(state);
}

/* A freezer that drains needs no agent to thaw what is left. */
static unsigned int tell_of_draining(const SfState *state)
{
	return SF_DO_FAIL_FREEZE | SF_DO_ANSWER_THAW | (state->is_leaving ? SF_DO_LEAVE : 0);
}

static unsigned int thawing(SfState *state, SfEvent event)
{
	switch (event) {
	case SF_EVENT_FREEZE:
		return SF_DO_REFUSE_FREEZE;
	case SF_EVENT_ENDED:
		return end(state);
	case SF_EVENT_DRAINING:
		state->name = SF_STATE_DRAINING;
		return state->was_released ? tell_of_draining(state) : release(state);
	case SF_EVENT_SLOW:
		/* An application must not stand still for as long as a disk is dead. */
		return release(state);
	case SF_EVENT_RELEASED:
		note_released(state);
		return 0;
	case SF_EVENT_FREEZER_GONE:
		/* It died while it thawed on request: whether all stayed frozen until then, nobody
		 * can say. */
		return SF_DO_RESCUE;
	case SF_EVENT_STOP:
		state->is_leaving = true;
		return 0;
	default:
		return 0;
	}
}

static unsigned int draining(SfState *state, SfEvent event)
{
	switch (event) {
	case SF_EVENT_FREEZE:
		return SF_DO_REFUSE_FREEZE;
	case SF_EVENT_THAW:
		return state->is_releasing ? 0 : SF_DO_ANSWER_THAW;
	case SF_EVENT_RELEASED:
		note_released(state);
		return tell_of_draining(state);
	case SF_EVENT_ENDED:
		return end(state);
	case SF_EVENT_FREEZER_GONE:
		return SF_DO_RESCUE;
	case SF_EVENT_STOP:
		state->is_leaving = true;
		return state->is_releasing ? 0 : SF_DO_LEAVE;
	default:
		return 0;
	}
}

/* A freezer that dies now has nothing left to thaw. */
static unsigned int releasing(SfState *state, SfEvent event)
{
	switch (event) {
	case SF_EVENT_FREEZE:
		return SF_DO_REFUSE_FREEZE;
	case SF_EVENT_RELEASED:
		return finish(state);
	case SF_EVENT_STOP:
		state->is_leaving = true;
		return 0;
	default:
		return 0;
	}
}

unsigned int sf_transition(SfState *state, SfEvent event)
{
	switch (state->name) {
	case SF_STATE_PREPARING:
		return preparing(state, event);
	case SF_STATE_FREEZING:
		return freezing(state, event);
	case SF_STATE_FROZEN:
		return frozen(state, event);
	case SF_STATE_THAWING:
		return thawing(state, event);
	case SF_STATE_DRAINING:
		return draining(state, event);
	case SF_STATE_RELEASING:
		return releasing(state, event);
	default:
		return idle(state, event);
	}
}

bool sf_state_is_frozen(const SfState *state)
{
	return state->was_begun && state->name >= SF_STATE_FREEZING &&
	       state->name <= SF_STATE_DRAINING;
}

const char *sf_state_describe(const SfState *state)
{
	static const char *const names[] = {
		[SF_STATE_THAWED] = "thawed",       [SF_STATE_PREPARING] = "preparing",
		[SF_STATE_FREEZING] = "freezing",   [SF_STATE_FROZEN] = "frozen",
		[SF_STATE_THAWING] = "thawing",     [SF_STATE_DRAINING] = "draining",
		[SF_STATE_RELEASING] = "releasing", [SF_STATE_EXPIRED] = "expired",
	};

	return names[state->name];
}
