/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/freezer/core: order, edges, barriers, roll-back at the n-th failure with any errno,
 * deadline, heartbeat, the agent's death in every phase, slow and failing thaws. A small driver
 * plays the threads.
 */
#include "config.h"

#include <errno.h>
#include <glib.h>

#include "agent/freezer/core.h"

/* The machine is half a megabyte: on the heap. */
typedef struct {
	struct sf_core *core;
	struct sf_clock now;
	GArray *order; /* of unsigned: starts of freezes and thaws, in order; thaws have 1000 added
			*/
	uint32_t last_tell;
	struct sf_tell tells[64];
	unsigned int tell_count;
	bool is_forgotten, has_left;
	bool has_restored; /* the limits of dirty memory, at the last event */
} Rig;

static void hear(Rig *rig)
{
	struct sf_core *core = rig->core;

	for (unsigned int i = 0; i < core->start_count; i++) {
		unsigned int mark =
			core->starts[i].index + (core->starts[i].job == SF_JOB_THAW ? 1000 : 0);
		if (core->starts[i].job != SF_JOB_FLUSH)
			g_array_append_val(rig->order, mark);
	}
	for (unsigned int i = 0; i < core->tell_count; i++) {
		g_assert_cmpuint(rig->tell_count, <, G_N_ELEMENTS(rig->tells));
		rig->tells[rig->tell_count++] = core->tells[i];
		rig->last_tell = core->tells[i].kind;
	}
	rig->has_restored = core->restore;
	rig->is_forgotten |= core->forget;
	rig->has_left |= core->leave;
}

static bool rig_say(Rig *rig, struct sf_message message, unsigned int fd_count)
{
	bool is_good = sf_core_message(rig->core, &message, fd_count, rig->now);

	hear(rig);
	return is_good;
}

static void rig_done(Rig *rig, unsigned int index, int error)
{
	g_assert_cmpuint(rig->core->targets[index].job, !=, SF_JOB_NONE);
	sf_core_done(rig->core, index, error, rig->now);
	hear(rig);
}

static void rig_pass(Rig *rig, uint64_t ms)
{
	rig->now.boottime_ms += ms;
	rig->now.monotonic_ms += ms;
	sf_core_tick(rig->core, rig->now);
	hear(rig);
}

static const struct sf_tell *rig_told(const Rig *rig, uint32_t kind)
{
	for (unsigned int i = rig->tell_count; i-- > 0;)
		if (rig->tells[i].kind == kind)
			return &rig->tells[i];
	return NULL;
}

static Rig *rig_new(unsigned int count, unsigned int parallel, const struct sf_edge *edges,
		    unsigned int edge_count, int barrier)
{
	Rig *rig = g_new0(Rig, 1);
	struct sf_message message = {.kind = SF_MESSAGE_PLAN, .count = count, .value = parallel};

	rig->core = g_new0(struct sf_core, 1);
	rig->order = g_array_new(FALSE, FALSE, sizeof(unsigned int));
	rig->now = (struct sf_clock){1000000, 500000};
	sf_core_init(rig->core);
	g_assert_true(rig_say(rig, message, 0));
	message = (struct sf_message){.kind = SF_MESSAGE_TARGETS, .count = count};
	if (barrier >= 0)
		message.barrier[barrier] = 1;
	g_assert_true(rig_say(rig, message, count));
	message = (struct sf_message){.kind = SF_MESSAGE_EDGES, .count = edge_count};
	for (unsigned int i = 0; i < edge_count; i++)
		message.edges[i] = edges[i];
	g_assert_true(rig_say(rig, message, 0));
	return rig;
}

static void rig_free(Rig *rig)
{
	g_free(rig->core);
	g_array_unref(rig->order);
	g_free(rig);
}

static void rig_flush(Rig *rig)
{
	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_FLUSH, .value = 60000}, 0));
	for (unsigned int i = 0; i < rig->core->count; i++)
		rig_done(rig, i, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_FLUSHED);
}

static void rig_begin_freeze(Rig *rig)
{
	struct sf_message message = {.kind = SF_MESSAGE_FREEZE,
				     .value = 30000,
				     .lease = 5000,
				     .maximum = 20000};

	g_assert_true(rig_say(rig, message, 0));
}

static Rig *rig_frozen(unsigned int count)
{
	Rig *rig = rig_new(count, 128, NULL, 0, -1);

	rig_flush(rig);
	rig_begin_freeze(rig);
	for (unsigned int i = 0; i < count; i++)
		rig_done(rig, i, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_FROZEN);
	g_assert_cmpint(rig->core->frozen, ==, count);
	return rig;
}

static void rig_finish_thaws(Rig *rig)
{
	for (unsigned int i = 0; i < rig->core->count; i++)
		if (rig->core->targets[i].job == SF_JOB_THAW)
			rig_done(rig, i, 0);
}

/* Compares the starts from @from on with a list that ends with -1. */
static void assert_order(const Rig *rig, guint from, const int *expected)
{
	guint i = from;

	for (; *expected >= 0; expected++, i++) {
		g_assert_cmpuint(i, <, rig->order->len);
		g_assert_cmpint(g_array_index(rig->order, unsigned int, i), ==, *expected);
	}
	g_assert_cmpuint(rig->order->len, ==, i);
}

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
	hear(rig);
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
		hear(rig);
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
	g_test_add_func("/core/deadline-thaws-by-itself", test_deadline_thaws_by_itself);
	g_test_add_func("/core/suspended-guest-sees-the-deadline",
			test_suspended_guest_sees_the_deadline);
	g_test_add_func("/core/extend-never-passes-the-maximum",
			test_extend_never_passes_the_maximum);
	g_test_add_func("/core/missing-heartbeat-thaws", test_missing_heartbeat_thaws);
	g_test_add_func("/core/dead-agent-in-every-phase", test_dead_agent_in_every_phase);
	g_test_add_func("/core/slow-thaw-holds-nobody-up", test_slow_thaw_holds_nobody_up);
	g_test_add_func("/core/second-sign-of-the-agents-death-starts-nothing",
			test_second_sign_of_the_agents_death_starts_nothing);
	g_test_add_func("/core/limits-are-restored-even-after-the-end",
			test_limits_are_restored_even_after_the_end);
	g_test_add_func("/core/waiting-retry-arms-no-timer", test_waiting_retry_arms_no_timer);
	g_test_add_func("/core/failing-thaw-is-tried-again", test_failing_thaw_is_tried_again);
	g_test_add_func("/core/foreign-thaw-ends-it-too", test_foreign_thaw_ends_it_too);
	g_test_add_func("/core/limits-are-restored-once-frozen",
			test_limits_are_restored_once_frozen);
	g_test_add_func("/core/limits-are-restored-at-every-ending",
			test_limits_are_restored_at_every_ending);
	g_test_add_func("/core/limits-are-restored-where-the-agent-hangs-before-the-freeze",
			test_limits_are_restored_where_the_agent_hangs_before_the_freeze);
	g_test_add_func("/core/late-extend-is-harmless", test_late_extend_is_harmless);
	return g_test_run();
}
