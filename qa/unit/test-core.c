/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/freezer/core, up to "frozen": order, edges, barriers, roll-back at the n-th failure with
 * any errno, what hangs. */
#include "config.h"

#include <errno.h>

#include "qa/unit/core-rig.h"

static void test_all_overlap_without_edges(void)
{
	Rig *rig = rig_new(4, 128, NULL, 0, -1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	assert_order(rig, 0, (int[]){0, 1, 2, 3, -1});
	rig_free(rig);
}

/* What hooks dirtied is flushed as well; no flush may follow the word to freeze. */
static void test_a_second_flush_may_follow(void)
{
	Rig *rig = rig_new(2, 128, NULL, 0, -1);
	struct sf_message flush = {.kind = SF_MESSAGE_FLUSH, .value = 60000};

	rig_flush(rig);
	rig_flush(rig);
	g_assert_true(rig_say(rig, flush, 0));
	g_assert_false(rig_say(rig, flush, 0));
	rig_done(rig, 0, 0);
	rig_done(rig, 1, 0);
	rig_begin_freeze(rig);
	assert_order(rig, 0, (int[]){0, 1, -1});
	g_assert_false(rig_say(rig, flush, 0));
	rig_free(rig);
}

static void test_parallel_is_a_limit(void)
{
	Rig *rig = rig_new(3, 1, NULL, 0, -1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	assert_order(rig, 0, (int[]){0, -1});
	rig_done(rig, 0, 0);
	assert_order(rig, 0, (int[]){0, 1, -1});
	rig_free(rig);
}

static void test_edge_waits_until_finished(void)
{
	struct sf_edge edges[] = {{0, 2}};
	Rig *rig = rig_new(3, 128, edges, 1, -1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	assert_order(rig, 0, (int[]){0, 1, -1});
	rig_done(rig, 1, 0);
	assert_order(rig, 0, (int[]){0, 1, -1});
	rig_done(rig, 0, 0);
	assert_order(rig, 0, (int[]){0, 1, 2, -1});
	rig_done(rig, 2, 0);
	/* The other way round: 0 waits for 2. */
	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_THAW, .reason = SF_END_REQUEST},
			0));
	assert_order(rig, 3, (int[]){1002, 1001, -1});
	rig_done(rig, 1, 0);
	assert_order(rig, 3, (int[]){1002, 1001, -1});
	rig_done(rig, 2, 0);
	assert_order(rig, 3, (int[]){1002, 1001, 1000, -1});
	rig_done(rig, 0, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_ENDED);
	rig_free(rig);
}

static void test_barrier_holds_all_later(void)
{
	Rig *rig = rig_new(3, 128, NULL, 0, 1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	assert_order(rig, 0, (int[]){0, 1, -1});
	rig_done(rig, 0, 0);
	assert_order(rig, 0, (int[]){0, 1, -1});
	rig_done(rig, 1, 0);
	assert_order(rig, 0, (int[]){0, 1, 2, -1});
	rig_free(rig);
}

static void test_bad_plans_are_refused(void)
{
	struct sf_message edge = {.kind = SF_MESSAGE_EDGES, .count = 1, .edges = {{2, 1}}};
	Rig *rig = rig_new(3, 128, NULL, 0, -1);

	g_assert_false(rig_say(rig, edge, 0));
	edge.edges[0] = (struct sf_edge){1, 3};
	g_assert_false(rig_say(rig, edge, 0));
	g_assert_false(rig_say(
		rig, (struct sf_message){.kind = SF_MESSAGE_TARGETS, .count = 1, .index = 3}, 1));
	g_assert_false(rig_say(rig,
			       (struct sf_message){.kind = SF_MESSAGE_PLAN, .count = 1, .value = 1},
			       0));
	g_assert_false(rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_FREEZE, .lease = 1}, 0));
	rig_free(rig);
}

/* The n-th of five refuses with an errno: what was frozen is thawed, what was not begun never is.
 */
static void test_nth_failure_rolls_back(void)
{
	static const int errors[] = {EBUSY, EPERM, EIO, ENOSPC, EROFS, EFBIG};

	for (unsigned int n = 0; n < 5; n++) {
		for (guint e = 0; e < G_N_ELEMENTS(errors); e++) {
			Rig *rig = rig_new(5, 1, NULL, 0, -1);
			rig_flush(rig);
			rig_begin_freeze(rig);
			for (unsigned int i = 0; i < n; i++)
				rig_done(rig, i, 0);
			rig_done(rig, n, errors[e]);
			const struct sf_tell *ending = rig_told(rig, SF_MESSAGE_ENDING);
			g_assert_nonnull(ending);
			g_assert_cmpint(ending->index, ==, n);
			g_assert_cmpint(ending->error, ==, errors[e]);
			g_assert_cmpuint(ending->reason, ==, SF_END_FAILED);
			rig_finish_thaws(rig);
			g_assert_cmpuint(rig->order->len, ==, n + 1 + n);
			g_assert_cmpuint(rig->core->frozen, ==, 0);
			g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_ENDED);
			g_assert_true(rig->is_forgotten);
			rig_free(rig);
		}
	}
}

static void test_unsupported_is_no_failure(void)
{
	Rig *rig = rig_new(2, 128, NULL, 0, -1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	rig_done(rig, 0, EOPNOTSUPP);
	rig_done(rig, 1, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_FROZEN);
	g_assert_cmpuint(rig->core->frozen, ==, 1);
	rig_free(rig);
}

static void test_foreign_can_be_accepted(void)
{
	Rig *rig = rig_new(2, 128, NULL, 0, -1);

	rig->core->accept_foreign = true;
	rig_flush(rig);
	rig_begin_freeze(rig);
	rig_done(rig, 0, EBUSY);
	rig_done(rig, 1, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_FROZEN);
	/* And is not ours to thaw. */
	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_THAW, .reason = SF_END_REQUEST},
			0));
	assert_order(rig, 2, (int[]){1001, -1});
	rig_free(rig);
}

/* A freeze that hangs: the others are thawed at the time-out, it itself the moment it returns. */
static void test_hanging_freeze_drains(void)
{
	Rig *rig = rig_new(3, 128, NULL, 0, -1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	rig_done(rig, 0, 0);
	rig_done(rig, 2, 0);
	rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_HEARTBEAT}, 0);
	for (int i = 0; i < 5; i++) {
		rig_pass(rig, 6000);
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_HEARTBEAT}, 0);
	}
	g_assert_cmpint(rig_told(rig, SF_MESSAGE_ENDING)->index, ==, 1);
	g_assert_cmpuint(rig_told(rig, SF_MESSAGE_ENDING)->reason, ==, SF_END_TIMEOUT);
	assert_order(rig, 3, (int[]){1002, 1000, -1});
	rig_done(rig, 2, 0);
	rig_done(rig, 0, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_DRAINING);
	g_assert_cmpint(rig_told(rig, SF_MESSAGE_DRAINING)->index, ==, 1);
	g_assert_false(rig->is_forgotten);
	g_assert_false(rig_say(rig,
			       (struct sf_message){.kind = SF_MESSAGE_PLAN, .count = 1, .value = 1},
			       0));
	rig_done(rig, 1, 0);
	assert_order(rig, 5, (int[]){1001, -1});
	rig_done(rig, 1, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_ENDED);
	rig_free(rig);
}

static void test_hanging_flush_freezes_nothing(void)
{
	Rig *rig = rig_new(2, 128, NULL, 0, -1);

	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_FLUSH, .value = 60000}, 0));
	rig_done(rig, 0, 0);
	rig_pass(rig, 60000);
	g_assert_cmpint(rig_told(rig, SF_MESSAGE_ENDING)->index, ==, 1);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_DRAINING);
	rig_done(rig, 1, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_ENDED);
	g_assert_cmpuint(rig->order->len, ==, 0);
	rig_free(rig);
}

/* The limits of dirty memory stay low until the last filesystem is frozen, and no longer. */
static void test_limits_are_restored_once_frozen(void)
{
	Rig *rig = rig_new(2, 128, NULL, 0, -1);

	rig_flush(rig);
	g_assert_false(rig->has_restored);
	rig_begin_freeze(rig);
	rig_done(rig, 0, 0);
	g_assert_false(rig->has_restored);
	rig_done(rig, 1, 0);
	g_assert_true(rig->has_restored);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_FROZEN);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/core/all-overlap-without-edges", test_all_overlap_without_edges);
	g_test_add_func("/core/parallel-is-a-limit", test_parallel_is_a_limit);
	g_test_add_func("/core/a-second-flush-may-follow", test_a_second_flush_may_follow);
	g_test_add_func("/core/edge-waits-until-finished", test_edge_waits_until_finished);
	g_test_add_func("/core/barrier-holds-all-later", test_barrier_holds_all_later);
	g_test_add_func("/core/bad-plans-are-refused", test_bad_plans_are_refused);
	g_test_add_func("/core/nth-failure-rolls-back", test_nth_failure_rolls_back);
	g_test_add_func("/core/unsupported-is-no-failure", test_unsupported_is_no_failure);
	g_test_add_func("/core/foreign-can-be-accepted", test_foreign_can_be_accepted);
	g_test_add_func("/core/hanging-freeze-drains", test_hanging_freeze_drains);
	g_test_add_func("/core/hanging-flush-freezes-nothing", test_hanging_flush_freezes_nothing);
	g_test_add_func("/core/limits-are-restored-once-frozen",
			test_limits_are_restored_once_frozen);
	return g_test_run();
}
