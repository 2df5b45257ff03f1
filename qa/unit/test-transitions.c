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
	       a->is_empty == b->is_empty && a->is_leaving == b->is_leaving &&
	       a->is_releasing == b->is_releasing && a->was_released == b->was_released;
}

static void add(Reached *reached, SfState state)
{
	for (unsigned int i = 0; i < reached->count; i++)
		if (is_same(&reached->states[i], &state))
			return;
	g_assert_cmpuint(reached->count, <, MAX_STATES);
	reached->states[reached->count++] = state;
}

/* The release answers only where it runs: it may do so at once, or after anything else. */
static bool can_happen(const SfState *state, SfEvent event)
{
	return event != SF_EVENT_RELEASED || state->is_releasing;
}

/* A restart may begin in thawing, with something of an earlier agent's still frozen, or in
 * releasing, with hooks of its that were not told to thaw. */
static void walk(Reached *reached)
{
	add(reached, (SfState){.name = SF_STATE_THAWED});
	add(reached, (SfState){.name = SF_STATE_THAWING, .was_begun = true});
	add(reached, (SfState){.name = SF_STATE_RELEASING, .is_releasing = true, .is_asked = true});
	for (unsigned int i = 0; i < reached->count; i++) {
		for (int event = 0; event < SF_EVENT_COUNT; event++) {
			SfState next = reached->states[i];
			if (!can_happen(&next, event))
				continue;
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
		/* Whatever it is doing, the freezer's death leads to the rescue, the rescue's end
		 * to thawed, and the hooks' end to where a new freeze may begin. */
		if (state.name != SF_STATE_RELEASING) {
			unsigned int actions = sf_transition(&state, SF_EVENT_FREEZER_GONE);
			g_assert_cmpuint(actions & SF_DO_RESCUE, !=, 0);
			actions = sf_transition(&state, SF_EVENT_ENDED);
			g_assert_cmpuint(actions & SF_DO_CLOSE, !=, 0);
		}
		g_assert_false(sf_state_is_frozen(&state));
		if (state.is_releasing)
			sf_transition(&state, SF_EVENT_RELEASED);
		g_assert_true(is_idle(&state));
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
		if (state.is_releasing)
			actions = sf_transition(&state, SF_EVENT_RELEASED);
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

static bool is_answer(unsigned int actions)
{
	return actions &
	       (SF_DO_ANSWER_FREEZE | SF_DO_FAIL_FREEZE | SF_DO_ANSWER_THAW | SF_DO_LEAVE);
}

/* Of any way from frozen to idle: the hooks are released once, whoever is told that it is over is
 * told after that, and none may run while it goes well before all is thawed. */
static void follow(SfState state, bool was_released, unsigned int depth)
{
	if (depth == 0 || is_idle(&state))
		return;
	for (int event = 0; event < SF_EVENT_COUNT; event++) {
		SfState next = state;
		bool is_released = was_released || event == SF_EVENT_RELEASED;
		if (!can_happen(&state, event))
			continue;
		unsigned int actions = sf_transition(&next, event);
		if (is_answer(actions))
			g_assert_true(is_released);
		if (actions & SF_DO_RELEASE) {
			g_assert_false(state.is_releasing || state.was_released);
			g_assert_true(event == SF_EVENT_ENDED || event == SF_EVENT_DRAINING ||
				      event == SF_EVENT_SLOW);
		}
		follow(next, is_released, depth - 1);
	}
}

static void test_hooks_are_released_once_and_before_the_answer(void)
{
	follow((SfState){.name = SF_STATE_FROZEN, .was_begun = true}, false, 6);
	follow((SfState){.name = SF_STATE_THAWING, .is_asked = true}, false, 6);
}

static void test_a_lost_hook_ends_what_is_not_frozen_yet(void)
{
	SfState preparing = {.name = SF_STATE_PREPARING};
	SfState freezing = {.name = SF_STATE_FREEZING, .was_begun = true};
	SfState frozen = {.name = SF_STATE_FROZEN, .was_begun = true};

	g_assert_cmpuint(sf_transition(&preparing, SF_EVENT_HOOK_LOST), ==, SF_DO_END);
	g_assert_cmpuint(sf_transition(&freezing, SF_EVENT_HOOK_LOST), ==, SF_DO_END);
	/* What the disks hold by now was written while it was quiet. */
	g_assert_cmpuint(sf_transition(&frozen, SF_EVENT_HOOK_LOST), ==, 0);
	g_assert_cmpint(frozen.name, ==, SF_STATE_FROZEN);
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
	g_assert_cmpstr(sf_state_describe(&state), ==, "releasing");
	g_assert_false(sf_state_is_frozen(&state));
	PLAY(&state, SF_EVENT_RELEASED);
	g_assert_cmpstr(sf_state_describe(&state), ==, "thawed");

	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED, SF_EVENT_FROZEN, SF_EVENT_EXPIRED,
	     SF_EVENT_ENDED, SF_EVENT_RELEASED);
	g_assert_cmpstr(sf_state_describe(&state), ==, "expired");

	/* A flush that hangs: nothing is frozen, whatever else is true. */
	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_FREEZE_FAILED, SF_EVENT_DRAINING);
	g_assert_cmpstr(sf_state_describe(&state), ==, "draining");
	g_assert_false(sf_state_is_frozen(&state));
	PLAY(&state, SF_EVENT_RELEASED, SF_EVENT_ENDED);

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
	PLAY(&state, SF_EVENT_ENDED);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_RELEASED) & SF_DO_ANSWER_FREEZE, !=, 0);
	g_assert_cmpstr(sf_state_describe(&state), ==, "thawed");

	PLAY(&state, SF_EVENT_FREEZE);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_FROZEN_NOTHING), ==, SF_DO_END);
	PLAY(&state, SF_EVENT_ENDED);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_RELEASED) & SF_DO_ANSWER_FREEZE, !=, 0);

	/* A stop while frozen thaws first, then leaves. */
	state = (SfState){.name = SF_STATE_THAWED};
	PLAY(&state, SF_EVENT_FREEZE, SF_EVENT_PREPARED, SF_EVENT_FROZEN);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_STOP), ==, SF_DO_END);
	PLAY(&state, SF_EVENT_ENDED);
	g_assert_cmpuint(sf_transition(&state, SF_EVENT_RELEASED) & SF_DO_LEAVE, !=, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/transitions/every-state-has-a-way-out", test_every_state_has_a_way_out);
	g_test_add_func("/transitions/a-thaw-is-always-answered", test_a_thaw_is_always_answered);
	g_test_add_func("/transitions/only-a-request-while-frozen-is-judged",
			test_only_a_request_while_frozen_is_judged);
	g_test_add_func("/transitions/one-freeze-at-a-time", test_one_freeze_at_a_time);
	g_test_add_func("/transitions/hooks-are-released-once-and-before-the-answer",
			test_hooks_are_released_once_and_before_the_answer);
	g_test_add_func("/transitions/a-lost-hook-ends-what-is-not-frozen-yet",
			test_a_lost_hook_ends_what_is_not_frozen_yet);
	g_test_add_func("/transitions/stories", test_stories);
	return g_test_run();
}
