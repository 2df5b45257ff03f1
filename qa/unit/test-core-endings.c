/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/freezer/core, from "frozen" on: the deadline, the heartbeat, the agent's death in every
 * phase, slow and failing thaws, the limits of dirty memory. */
#include "config.h"

#include <errno.h>

#include "qa/unit/core-rig.h"

static void test_deadline_thaws_by_itself(void)
{
	Rig *rig = rig_frozen(2);

	g_assert_cmpuint(sf_core_wake_at(rig->core).boottime_ms, ==, rig->now.boottime_ms + 5000);
	rig_pass(rig, 4999);
	g_assert_cmpuint(rig->core->phase, ==, SF_PHASE_FROZEN);
	rig_pass(rig, 1);
	g_assert_cmpuint(rig_told(rig, SF_MESSAGE_ENDING)->reason, ==, SF_END_DEADLINE);
	assert_order(rig, 2, (int[]){1001, 1000, -1});
	rig_free(rig);
}

static void test_suspended_guest_sees_the_deadline(void)
{
	Rig *rig = rig_frozen(1);

	/* Suspended for an hour: CLOCK_BOOTTIME went on, CLOCK_MONOTONIC did not. */
	rig->now.boottime_ms += 3600000;
	sf_core_tick(rig->core, rig->now);
	rig_hear(rig);
	g_assert_cmpuint(rig_told(rig, SF_MESSAGE_ENDING)->reason, ==, SF_END_DEADLINE);
	rig_free(rig);
}

static void test_extend_never_passes_the_maximum(void)
{
	Rig *rig = rig_frozen(1);

	for (int i = 0; i < 4; i++) {
		rig_pass(rig, 4000);
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_HEARTBEAT}, 0);
		g_assert_true(rig_say(rig,
				      (struct sf_message){.kind = SF_MESSAGE_EXTEND, .lease = 5000},
				      0));
		g_assert_cmpuint(rig->core->phase, ==, SF_PHASE_FROZEN);
	}
	g_assert_cmpuint(rig_told(rig, SF_MESSAGE_EXTENDED)->lease, ==, 4000);
	rig_pass(rig, 4000);
	g_assert_cmpuint(rig->core->phase, ==, SF_PHASE_ENDING);
	rig_free(rig);
}

static void test_missing_heartbeat_thaws(void)
{
	Rig *rig = rig_frozen(1);

	rig->core->deadline_ms = rig->core->maximum_ms = UINT64_MAX;
	rig_pass(rig, 9999);
	rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_HEARTBEAT}, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_ALIVE);
	rig_pass(rig, 9999);
	g_assert_cmpuint(rig->core->phase, ==, SF_PHASE_FROZEN);
	rig_pass(rig, 1);
	g_assert_cmpuint(rig_told(rig, SF_MESSAGE_ENDING)->reason, ==, SF_END_HEARTBEAT);
	rig_free(rig);
}

static void test_dead_agent_in_every_phase(void)
{
	for (int phase = SF_PHASE_IDLE; phase <= SF_PHASE_ENDING; phase++) {
		Rig *rig = rig_new(2, 128, NULL, 0, -1);
		if (phase == SF_PHASE_IDLE)
			rig_say(rig,
				(struct sf_message){.kind = SF_MESSAGE_THAW,
						    .reason = SF_END_REQUEST},
				0);
		if (phase == SF_PHASE_FLUSHING)
			rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_FLUSH, .value = 1000},
				0);
		if (phase >= SF_PHASE_FLUSHED)
			rig_flush(rig);
		if (phase >= SF_PHASE_FREEZING)
			rig_begin_freeze(rig);
		if (phase >= SF_PHASE_FROZEN) {
			rig_done(rig, 0, 0);
			rig_done(rig, 1, 0);
		}
		if (phase == SF_PHASE_ENDING)
			rig_say(rig,
				(struct sf_message){.kind = SF_MESSAGE_THAW,
						    .reason = SF_END_REQUEST},
				0);
		g_assert_cmpint(rig->core->phase, ==, phase);
		sf_core_agent_gone(rig->core, rig->now);
		rig_hear(rig);
		g_assert_true(rig->has_restored);
		if (phase < SF_PHASE_FREEZING) {
			g_assert_true(rig->has_left);
		} else {
			g_assert_false(rig->has_left);
			/* Inside FIFREEZE: each is thawed when it returns. */
			for (unsigned int i = 0; i < 2; i++)
				if (rig->core->targets[i].job == SF_JOB_FREEZE)
					rig_done(rig, i, 0);
			rig_finish_thaws(rig);
			g_assert_cmpuint(rig->core->frozen, ==, 0);
			g_assert_true(rig->has_left);
		}
		rig_free(rig);
	}
}

static void test_slow_thaw_holds_nobody_up(void)
{
	struct sf_edge edges[] = {{0, 1}};
	Rig *rig = rig_new(2, 128, edges, 1, -1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	rig_done(rig, 0, 0);
	rig_done(rig, 1, 0);
	rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_THAW, .reason = SF_END_REQUEST}, 0);
	assert_order(rig, 2, (int[]){1001, -1});
	g_assert_cmpuint(sf_core_wake_at(rig->core).boottime_ms, ==, rig->now.boottime_ms + 2000);
	rig_pass(rig, 2000);
	g_assert_cmpint(rig_told(rig, SF_MESSAGE_SLOW)->index, ==, 1);
	assert_order(rig, 2, (int[]){1001, 1000, -1});
	rig_done(rig, 0, 0);
	g_assert_null(rig_told(rig, SF_MESSAGE_ENDED));
	rig_done(rig, 1, 0);
	g_assert_nonnull(rig_told(rig, SF_MESSAGE_ENDED));
	rig_free(rig);
}

static void test_second_sign_of_the_agents_death_starts_nothing(void)
{
	Rig *rig = rig_frozen(2);

	sf_core_agent_gone(rig->core, rig->now);
	g_assert_cmpuint(rig->core->start_count, ==, 2);
	sf_core_agent_gone(rig->core, rig->now);
	g_assert_cmpuint(rig->core->start_count, ==, 0);
	g_assert_cmpuint(rig->core->tell_count, ==, 0);
	g_assert_cmpuint(rig->core->running, ==, 2);
	rig_finish_thaws(rig);
	g_assert_true(rig->has_left);
	rig_free(rig);
}

/* Found by the model: it may not have heard of the end when it lowered them, and then hung. */
static void test_limits_are_restored_even_after_the_end(void)
{
	Rig *rig = rig_new(1, 1, NULL, 0, -1);

	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_FLUSH, .value = 60000}, 0));
	rig_done(rig, 0, EIO);
	g_assert_cmpint(rig->core->phase, ==, SF_PHASE_IDLE);
	g_assert_cmpuint(sf_core_wake_at(rig->core).monotonic_ms, ==,
			 rig->now.monotonic_ms + SF_HEARTBEAT_LIMIT_MS);
	rig_pass(rig, SF_HEARTBEAT_LIMIT_MS);
	g_assert_true(rig->core->restore);
	g_assert_cmpuint(sf_core_wake_at(rig->core).monotonic_ms, ==, UINT64_MAX);
	rig_free(rig);
}

/* Found by the model: such a wait was a busy loop. */
static void test_waiting_retry_arms_no_timer(void)
{
	Rig *rig = rig_new(2, 128, NULL, 0, 0);

	rig_flush(rig);
	rig_begin_freeze(rig);
	rig_done(rig, 0, 0);
	g_assert_cmpuint(rig->core->targets[1].job, ==, SF_JOB_FREEZE);
	rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_THAW, .reason = SF_END_REQUEST}, 0);
	rig_done(rig, 0, EIO);
	/* Only now is there something that must be thawed before the barrier. */
	rig_done(rig, 1, 0);
	g_assert_cmpuint(rig->core->targets[1].job, ==, SF_JOB_THAW);
	rig_pass(rig, 1500);
	g_assert_cmpuint(rig->core->targets[0].job, ==, SF_JOB_NONE);
	g_assert_cmpuint(sf_core_wake_at(rig->core).boottime_ms, ==, rig->now.boottime_ms + 500);
	rig_done(rig, 1, 0);
	g_assert_cmpuint(rig->core->targets[0].job, ==, SF_JOB_THAW);
	rig_free(rig);
}

static void test_failing_thaw_is_tried_again(void)
{
	Rig *rig = rig_frozen(1);

	rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_THAW, .reason = SF_END_REQUEST}, 0);
	for (int i = 0; i < 3; i++) {
		rig_done(rig, 0, EIO);
		g_assert_cmpint(rig_told(rig, SF_MESSAGE_SLOW)->error, ==, EIO);
		g_assert_cmpuint(rig->core->frozen, ==, 1);
		g_assert_cmpuint(rig->core->targets[0].job, ==, SF_JOB_NONE);
		g_assert_cmpuint(sf_core_wake_at(rig->core).boottime_ms, ==,
				 rig->now.boottime_ms + 1000);
		rig_pass(rig, 1000);
		g_assert_cmpuint(rig->core->targets[0].job, ==, SF_JOB_THAW);
	}
	rig_done(rig, 0, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_ENDED);
	rig_free(rig);
}

static void test_foreign_thaw_ends_it_too(void)
{
	Rig *rig = rig_frozen(1);

	rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_THAW, .reason = SF_END_REQUEST}, 0);
	rig_done(rig, 0, EINVAL);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_ENDED);
	rig_free(rig);
}

static void test_limits_are_restored_at_every_ending(void)
{
	struct sf_message thaw = {.kind = SF_MESSAGE_THAW, .reason = SF_END_REQUEST};
	Rig *rig = rig_new(1, 128, NULL, 0, -1);

	/* Given up, from before the flush to the freeze. */
	g_assert_true(rig_say(rig, thaw, 0));
	g_assert_true(rig->has_restored);
	rig_free(rig);
	rig = rig_new(1, 128, NULL, 0, -1);
	rig_flush(rig);
	g_assert_true(rig_say(rig, thaw, 0));
	g_assert_true(rig->has_restored);
	rig_free(rig);
	/* A flush that hangs, a freeze that fails. */
	rig = rig_new(1, 128, NULL, 0, -1);
	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_FLUSH, .value = 5000}, 0));
	rig_pass(rig, 5000);
	g_assert_true(rig->has_restored);
	rig_free(rig);
	rig = rig_new(1, 128, NULL, 0, -1);
	rig_flush(rig);
	rig_begin_freeze(rig);
	rig_done(rig, 0, EIO);
	g_assert_true(rig->has_restored);
	rig_free(rig);
}

/* A hung agent restores nothing itself, and nothing is frozen that it could be told of. */
static void test_limits_are_restored_where_the_agent_hangs_before_the_freeze(void)
{
	for (int flushed = 0; flushed < 2; flushed++) {
		Rig *rig = rig_new(1, 128, NULL, 0, -1);
		if (flushed)
			rig_flush(rig);
		unsigned int tells = rig->tell_count;
		g_assert_cmpuint(sf_core_wake_at(rig->core).monotonic_ms, ==,
				 rig->now.monotonic_ms + 10000);
		rig_pass(rig, 9999);
		g_assert_false(rig->has_restored);
		rig_pass(rig, 1);
		g_assert_true(rig->has_restored);
		g_assert_cmpuint(sf_core_wake_at(rig->core).monotonic_ms, ==, UINT64_MAX);
		/* When it wakes up, all goes on. */
		g_assert_cmpuint(rig->tell_count, ==, tells);
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_HEARTBEAT}, 0);
		if (!flushed)
			rig_flush(rig);
		rig_begin_freeze(rig);
		rig_free(rig);
	}
}

static void test_late_extend_is_harmless(void)
{
	Rig *rig = rig_frozen(1);

	rig_pass(rig, 5000);
	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_EXTEND, .lease = 5000}, 0));
	g_assert_cmpuint(rig->core->phase, ==, SF_PHASE_ENDING);
	g_assert_null(rig_told(rig, SF_MESSAGE_EXTENDED));
	rig_free(rig);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/core-endings/deadline-thaws-by-itself", test_deadline_thaws_by_itself);
	g_test_add_func("/core-endings/suspended-guest-sees-the-deadline",
			test_suspended_guest_sees_the_deadline);
	g_test_add_func("/core-endings/extend-never-passes-the-maximum",
			test_extend_never_passes_the_maximum);
	g_test_add_func("/core-endings/missing-heartbeat-thaws", test_missing_heartbeat_thaws);
	g_test_add_func("/core-endings/dead-agent-in-every-phase", test_dead_agent_in_every_phase);
	g_test_add_func("/core-endings/slow-thaw-holds-nobody-up", test_slow_thaw_holds_nobody_up);
	g_test_add_func("/core-endings/second-sign-of-the-agents-death-starts-nothing",
			test_second_sign_of_the_agents_death_starts_nothing);
	g_test_add_func("/core-endings/limits-are-restored-even-after-the-end",
			test_limits_are_restored_even_after_the_end);
	g_test_add_func("/core-endings/waiting-retry-arms-no-timer",
			test_waiting_retry_arms_no_timer);
	g_test_add_func("/core-endings/failing-thaw-is-tried-again",
			test_failing_thaw_is_tried_again);
	g_test_add_func("/core-endings/foreign-thaw-ends-it-too", test_foreign_thaw_ends_it_too);
	g_test_add_func("/core-endings/limits-are-restored-at-every-ending",
			test_limits_are_restored_at_every_ending);
	g_test_add_func("/core-endings/limits-are-restored-where-the-agent-hangs-before-the-freeze",
			test_limits_are_restored_where_the_agent_hangs_before_the_freeze);
	g_test_add_func("/core-endings/late-extend-is-harmless", test_late_extend_is_harmless);
	return g_test_run();
}
