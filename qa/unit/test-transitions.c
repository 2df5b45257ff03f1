/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/transitions: every state that can be reached, by every event, walked exhaustively. */
#include "config.h"

#include <glib.h>
#include <string.h>

#include "agent/transitions.h"

#define MAX_STATES 256

typedef struct {
	SfState states[MAX_STATES];
	unsigned int count;
} Reached;

static bool is_same(const SfState *a, const SfState *b)
{
	return a->name == b->name && a->was_begun == b->was_begun && a->is_asked == b->is_asked &&
	       a->is_empty == b->is_empty && a->is_leaving == b->is_leaving;
}

static void add(Reached *reached, SfState state)
{
	for (unsigned int i = 0; i < reached->count; i++)
		if (is_same(&reached->states[i], &state))
			return;
	g_assert_cmpuint(reached->count, <, MAX_STATES);
	reached->states[reached->count++] = state;
}

/* A restart may begin in draining, with something of an earlier agent's still frozen. */
static void walk(Reached *reached)
{
	add(reached, (SfState){.name = SF_STATE_THAWED});
	add(reached, (SfState){.name = SF_STATE_DRAINING, .was_begun = true});
	for (unsigned int i = 0; i < reached->count; i++) {
		for (int event = 0; event < SF_EVENT_COUNT; event++) {
			SfState next = reached->states[i];
			sf_transition(&next, event);
			add(reached, next);
		}
	}
}

static bool is_idle(const SfState *state)
{
	return state->name == SF_STATE_THAWED || state->name == SF_STATE_EXPIRED;
}

static void test_every_state_has_a_way_out(void)
{
	Reached reached = {.count = 0};

	walk(&reached);
	g_test_message("%u states", reached.count);
	g_assert_cmpuint(reached.count, >=, 7);
	for (unsigned int i = 0; i < reached.count; i++) {
		SfState state = reached.states[i];
		if (is_idle(&state)) {
			g_assert_false(sf_state_is_frozen(&state));
			continue;
		}
		/* Whatever it is doing, the freezer's death leads to the rescue, and the rescue's
		 * end to thawed. */
		unsigned int actions = sf_transition(&state, SF_EVENT_FREEZER_GONE);
		g_assert_cmpuint(actions & SF_DO_RESCUE, !=, 0);
		actions = sf_transition(&state, SF_EVENT_ENDED);
		g_assert_cmpuint(actions & SF_DO_CLOSE, !=, 0);
		g_assert_true(is_idle(&state));
		g_assert_false(sf_state_is_frozen(&state));
	}
}

static void test_a_thaw_is_always_answered(void)
{
	Reached reached = {.count = 0};

	walk(&reached);
	for (unsigned int i = 0; i < reached.count; i++) {
		SfState state = reached.states[i];
		unsigned int actions = sf_transition(&state, SF_EVENT_THAW);
		if (!(actions & SF_DO_ANSWER_THAW))
			actions = sf_transition(&state, SF_EVENT_ENDED);
		g_assert_cmpuint(actions & SF_DO_ANSWER_THAW, !=, 0);
	}
}

static void test_only_a_request_while_frozen_is_judged(void)
{
	Reached reached = {.count = 0};

	walk(&reached);
	for (unsigned int i = 0; i < reached.count; i++) {
		for (int event = 0; event < SF_EVENT_COUNT; event++) {
			SfState state = reached.states[i];
			bool was_frozen = state.name == SF_STATE_FROZEN;
			if (sf_transition(&state, event) & SF_DO_JUDGE) {
				g_assert_true(was_frozen);
				g_assert_cmpint(event, ==, SF_EVENT_THAW);
			}
		}
	}
}

static void test_one_freeze_at_a_time(void)
{
	Reached reached = {.count = 0};

	walk(&reached);
	for (unsigned int i = 0; i < reached.count; i++) {
		SfState state = reached.states[i];
		unsigned int actions = sf_transition(&state, SF_EVENT_FREEZE);
		g_assert_cmpuint(actions, ==,
				 is_idle(&reached.states[i]) ? SF_DO_PREPARE : SF_DO_REFUSE_FREEZE);
	}
}

static void play(SfState *state, const SfEvent *events, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		sf_transition(state, events[i]);
}

#define PLAY(state, ...)                            \
	play(state, (const SfEvent[]){__VA_ARGS__}, \
	     sizeof((const SfEvent[]){__VA_ARGS__}) / sizeof(SfEvent))

static void test_stories(void)
{
	SfState state = {.name = SF_STATE_THAWED};

	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED, SF_EVENT_FROZEN);
	g_assert_cmpstr(sf_state_describe(&state), ==, "frozen");
	g_assert_true(sf_state_is_frozen(&state));
	PLAY(&state, SF_EVENT_THAW, SF_EVENT_ENDED);
	g_assert_cmpstr(sf_state_describe(&state), ==, "thawed");

	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED, SF_EVENT_FROZEN, SF_EVENT_EXPIRED,
	     SF_EVENT_ENDED);
	g_assert_cmpstr(sf_state_describe(&state), ==, "expired");

	/* A flush that hangs: nothing is frozen, whatever else is true. */
	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_FREEZE_FAILED, SF_EVENT_DRAINING);
	g_assert_cmpstr(sf_state_describe(&state), ==, "draining");
	g_assert_false(sf_state_is_frozen(&state));
	PLAY(&state, SF_EVENT_ENDED);

	/* A thaw while freezing rolls back; what still hangs in FIFREEZE counts as frozen. */
	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED, SF_EVENT_THAW, SF_EVENT_DRAINING);
	g_assert_true(sf_state_is_frozen(&state));

	/* Given up before it began: nothing is ever sent. */
	state = (SfState){.name = SF_STATE_THAWED};
	PLAY(&state, SF_EVENT_FREEZE);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_GIVEN_UP), ==, SF_DO_END);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_PREPARED), ==, 0);
	/* Given up after: it goes on. */
	state = (SfState){.name = SF_STATE_THAWED};
	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_GIVEN_UP), ==, 0);

	/* Nothing there that freezes: that is the answer, but only when it is thawed as it says. */
	state = (SfState){.name = SF_STATE_THAWED};
	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_FROZEN_NOTHING), ==, SF_DO_END);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_ENDED) & SF_DO_ANSWER_FREEZE, !=, 0);
	g_assert_cmpstr(sf_state_describe(&state), ==, "thawed");

	PLAY(&state, SF_EVENT_FREEZE);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_FROZEN_NOTHING), ==, SF_DO_END);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_ENDED) & SF_DO_ANSWER_FREEZE, !=, 0);

	/* A stop while frozen thaws first, then leaves. */
	state = (SfState){.name = SF_STATE_THAWED};
	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED, SF_EVENT_FROZEN);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_STOP), ==, SF_DO_END);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_ENDED) & SF_DO_LEAVE, !=, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/transitions/every-state-has-a-way-out", test_every_state_has_a_way_out);
	g_test_add_func("/transitions/a-thaw-is-always-answered", test_a_thaw_is_always_answered);
	g_test_add_func("/transitions/only-a-request-while-frozen-is-judged",
			test_only_a_request_while_frozen_is_judged);
	g_test_add_func("/transitions/one-freeze-at-a-time", test_one_freeze_at_a_time);
	g_test_add_func("/transitions/stories", test_stories);
	return g_test_run();
}
