/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns a core and what it has asked for so far. Called by the core's tests. */
#include "config.h"

#include "qa/unit/core-rig.h"

void rig_hear(Rig *rig)
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

bool rig_say(Rig *rig, struct sf_message message, unsigned int fd_count)
{
	bool is_good = sf_core_message(rig->core, &message, fd_count, rig->now);

	rig_hear(rig);
	return is_good;
}

void rig_done(Rig *rig, unsigned int index, int error)
{
	g_assert_cmpuint(rig->core->targets[index].job, !=, SF_JOB_NONE);
	sf_core_done(rig->core, index, error, rig->now);
	rig_hear(rig);
}

void rig_pass(Rig *rig, uint64_t ms)
{
	rig->now.boottime_ms += ms;
	rig->now.monotonic_ms += ms;
	sf_core_tick(rig->core, rig->now);
	rig_hear(rig);
}

const struct sf_tell *rig_told(const Rig *rig, uint32_t kind)
{
	for (unsigned int i = rig->tell_count; i-- > 0;)
		if (rig->tells[i].kind == kind)
			return &rig->tells[i];
	return NULL;
}

Rig *rig_new(unsigned int count, unsigned int parallel, const struct sf_edge *edges,
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

void rig_free(Rig *rig)
{
	g_free(rig->core);
	g_array_unref(rig->order);
	g_free(rig);
}

void rig_flush(Rig *rig)
{
	g_assert_true(
		rig_say(rig, (struct sf_message){.kind = SF_MESSAGE_FLUSH, .value = 60000}, 0));
	for (unsigned int i = 0; i < rig->core->count; i++)
		rig_done(rig, i, 0);
	g_assert_cmpuint(rig->last_tell, ==, SF_MESSAGE_FLUSHED);
}

void rig_begin_freeze(Rig *rig)
{
	struct sf_message message = {.kind = SF_MESSAGE_FREEZE,
				     .value = 30000,
				     .lease = 5000,
				     .maximum = 20000};

	g_assert_true(rig_say(rig, message, 0));
}

Rig *rig_frozen(unsigned int count)
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

void rig_finish_thaws(Rig *rig)
{
	for (unsigned int i = 0; i < rig->core->count; i++)
		if (rig->core->targets[i].job == SF_JOB_THAW)
			rig_done(rig, i, 0);
}

void assert_order(const Rig *rig, guint from, const int *expected)
{
	guint i = from;

	for (; *expected >= 0; expected++, i++) {
		g_assert_cmpuint(i, <, rig->order->len);
		g_assert_cmpint(g_array_index(rig->order, unsigned int, i), ==, *expected);
	}
	g_assert_cmpuint(rig->order->len, ==, i);
}
