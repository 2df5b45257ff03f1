/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/dirty-limit: what is limited and what is left alone, and how the limit comes down. A small
 * machine plays the kernel: disks that write at a rate, a load that dirties as fast as it is let.
 */
#include "config.h"

#include <glib.h>

#include "agent/dirty-limit.h"

#define MIB (1024ull * 1024)

typedef struct {
	SfDirtyLimit limit;
	SfDirtySample state;
	uint64_t writes, dirties; /* bytes per look, as long as there is room and reason */
	uint64_t most;            /* dirty memory stops growing here: the kernel's own limit */
	uint64_t bytes, background;
	unsigned int looks;
	unsigned int steps;        /* looks that gave a lower limit than the one before */
	uint64_t deepest_permille; /* how far the limit ever was below what was dirty */
} Machine;

static SfDirtyVerdict look(Machine *machine)
{
	SfDirtySample *state = &machine->state;
	uint64_t before = machine->bytes;
	SfDirtyVerdict verdict;

	if (machine->looks++ > 0) {
		uint64_t written = MIN(machine->writes, state->dirty);
		state->at_ms += SF_DIRTY_LOOK_MS;
		state->dirty -= written;
		state->written += written;
		uint64_t most = machine->bytes ? MIN(machine->bytes, machine->most) : machine->most;
		uint64_t dirtied =
			state->dirty < most ? MIN(machine->dirties, most - state->dirty) : 0;
		state->dirty += dirtied;
		state->dirtied += dirtied;
	}
	verdict =
		sf_dirty_limit_look(&machine->limit, state, &machine->bytes, &machine->background);
	if (before && machine->bytes < before)
		machine->steps++;
	if (machine->bytes && machine->bytes < state->dirty)
		machine->deepest_permille =
			MAX(machine->deepest_permille, 1000 - machine->bytes * 1000 / state->dirty);
	return verdict;
}

static SfDirtyVerdict look_until(Machine *machine, SfDirtyVerdict verdict, unsigned int most_looks)
{
	while (machine->looks < most_looks)
		if (look(machine) == verdict)
			return verdict;
	return SF_DIRTY_LOOK;
}

static void test_an_idle_machine_is_left_alone_at_once(void)
{
	Machine machine = {.state = {.dirty = 40 * MIB, .at_ms = 5}, .writes = 10 * MIB};

	g_assert_cmpint(look(&machine), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.bytes, ==, 0);
}

/* 500 MB that nobody adds to: the flush is what brings them down. */
static void test_a_finite_load_is_left_to_the_flush(void)
{
	Machine machine = {.state = {.dirty = 500 * MIB}, .writes = 10 * MIB};

	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 10), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.bytes, ==, 0);
}

/* Much of what is dirty, nothing that is written: a disk that is not ours to wait for. */
static void test_what_stays_dirty_is_left_alone(void)
{
	Machine machine = {.state = {.dirty = 500 * MIB}, .dirties = 1 * MIB, .most = 900 * MIB};

	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 10), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.bytes, ==, 0);
}

/* A tenth of what is written comes back: the flush converges by itself. */
static void test_a_small_load_is_left_alone(void)
{
	Machine machine = {.state = {.dirty = 500 * MIB},
			   .writes = 10 * MIB,
			   .dirties = 1 * MIB,
			   .most = 900 * MIB};

	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 10), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.bytes, ==, 0);
}

/* Much that lies dirty, and files beside it that are synced now and then: all that is written was
 * dirtied just before. */
static void test_a_trickle_is_no_endless_load(void)
{
	Machine machine = {.state = {.dirty = 1000 * MIB},
			   .writes = 100 * 1024,
			   .dirties = 100 * 1024,
			   .most = 1000 * MIB};

	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 10), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.bytes, ==, 0);
}

static Machine endless(void)
{
	return (Machine){.state = {.dirty = 1200 * MIB},
			 .writes = 10 * MIB,
			 .dirties = 100 * MIB,
			 .most = 1200 * MIB};
}

static void test_an_endless_load_comes_down_in_steps(void)
{
	Machine machine = endless();

	g_assert_cmpint(look_until(&machine, SF_DIRTY_LIMIT, 20), ==, SF_DIRTY_LIMIT);
	/* The first limit is no cliff. */
	g_assert_cmpuint(machine.bytes, >, 1000 * MIB);
	g_assert_cmpuint(machine.background, <, machine.bytes);
	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 600), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.steps, >, 50);
	g_assert_cmpuint(machine.deepest_permille, <, 100);
	/* At 100 MiB/s: some tenths of a second. */
	g_assert_cmpuint(machine.state.dirty, <, 60 * MIB);
	g_assert_cmpuint(machine.bytes, >=, 16 * MIB);
	/* Not longer than twice what the disks need. */
	g_assert_cmpuint(machine.looks, <, 240 + 30);
}

/* The disks need 12 s, and there are 15. */
static void test_it_hurries_where_time_is_short(void)
{
	Machine machine = endless();

	machine.limit.until_ms = 15000;
	g_assert_cmpint(look_until(&machine, SF_DIRTY_LIMIT, 20), ==, SF_DIRTY_LIMIT);
	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 600), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.state.at_ms, <=, 16000);
	g_assert_cmpuint(machine.state.dirty, <, 60 * MIB);
	g_assert_cmpuint(machine.deepest_permille, <, 100);
	/* Else it would take longer. */
	machine = endless();
	look_until(&machine, SF_DIRTY_LIMIT, 20);
	look_until(&machine, SF_DIRTY_LOW, 600);
	g_assert_cmpuint(machine.state.at_ms, >, 16000);
}

/* Disks write in gushes: a look that falls between two of them says nothing. */
static void test_a_pause_of_the_disks_decides_nothing(void)
{
	Machine machine = endless();

	machine.state.writeback = 100 * MIB;
	machine.writes = machine.dirties = 0;
	for (int i = 0; i < 9; i++)
		g_assert_cmpint(look(&machine), ==, SF_DIRTY_LOOK);
	machine.writes = 50 * MIB;
	machine.dirties = 100 * MIB;
	g_assert_cmpint(look(&machine), ==, SF_DIRTY_LIMIT);
	/* But not for ever. */
	machine = endless();
	machine.state.writeback = 100 * MIB;
	machine.writes = machine.dirties = 0;
	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 2 * SF_DIRTY_SAMPLES), ==, SF_DIRTY_LOW);
}

/* A load that begins while the flush runs. */
static void test_a_late_load_is_limited_too(void)
{
	Machine machine = {.state = {.dirty = 10 * MIB}, .writes = 10 * MIB};

	g_assert_cmpint(look(&machine), ==, SF_DIRTY_LOW);
	machine.dirties = 100 * MIB;
	machine.most = 1200 * MIB;
	while (machine.limit.level == 0 && machine.looks < 100)
		look(&machine);
	g_assert_cmpuint(machine.limit.level, >, 0);
	g_assert_cmpint(look_until(&machine, SF_DIRTY_LOW, 600), ==, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.state.dirty, <, 60 * MIB);
}

/* The kernel lets a little more through than it was told: that must not wait for ever. */
static void test_the_floor_need_not_be_reached(void)
{
	Machine machine = endless();

	g_assert_cmpint(look_until(&machine, SF_DIRTY_LIMIT, 20), ==, SF_DIRTY_LIMIT);
	while (machine.looks < 1000) {
		machine.state.dirty = MAX(machine.state.dirty, 200 * MIB);
		if (look(&machine) == SF_DIRTY_LOW)
			break;
	}
	g_assert_cmpuint(machine.looks, <, 1000);
}

/* A disk that stops for a while makes no step, so that nobody is held for longer than it stops. */
static void test_no_step_while_nothing_is_written(void)
{
	Machine machine = endless();

	look_until(&machine, SF_DIRTY_LIMIT, 20);
	for (int i = 0; i < 20; i++)
		look(&machine);
	machine.writes = 0;
	for (unsigned int i = 0; i < SF_DIRTY_SAMPLES; i++)
		look(&machine);
	uint64_t before = machine.bytes;
	for (int i = 0; i < 50; i++)
		g_assert_cmpint(look(&machine), !=, SF_DIRTY_LOW);
	g_assert_cmpuint(machine.bytes, ==, before);
}

/* What was dirty goes away by itself: the limit follows, and never rises. */
static void test_the_limit_never_rises(void)
{
	Machine machine = endless();

	look_until(&machine, SF_DIRTY_LIMIT, 20);
	uint64_t before = machine.bytes;
	for (int i = 0; i < 300; i++) {
		machine.dirties = i % 3 ? 100 * MIB : 0;
		look(&machine);
		g_assert_cmpuint(machine.bytes, <=, before);
		before = machine.bytes;
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dirty-limit/an-idle-machine-is-left-alone-at-once",
			test_an_idle_machine_is_left_alone_at_once);
	g_test_add_func("/dirty-limit/a-finite-load-is-left-to-the-flush",
			test_a_finite_load_is_left_to_the_flush);
	g_test_add_func("/dirty-limit/what-stays-dirty-is-left-alone",
			test_what_stays_dirty_is_left_alone);
	g_test_add_func("/dirty-limit/a-small-load-is-left-alone", test_a_small_load_is_left_alone);
	g_test_add_func("/dirty-limit/a-trickle-is-no-endless-load",
			test_a_trickle_is_no_endless_load);
	g_test_add_func("/dirty-limit/it-hurries-where-time-is-short",
			test_it_hurries_where_time_is_short);
	g_test_add_func("/dirty-limit/a-pause-of-the-disks-decides-nothing",
			test_a_pause_of_the_disks_decides_nothing);
	g_test_add_func("/dirty-limit/an-endless-load-comes-down-in-steps",
			test_an_endless_load_comes_down_in_steps);
	g_test_add_func("/dirty-limit/a-late-load-is-limited-too", test_a_late_load_is_limited_too);
	g_test_add_func("/dirty-limit/the-floor-need-not-be-reached",
			test_the_floor_need_not_be_reached);
	g_test_add_func("/dirty-limit/no-step-while-nothing-is-written",
			test_no_step_while_nothing_is_written);
	g_test_add_func("/dirty-limit/the-limit-never-rises", test_the_limit_never_rises);
	return g_test_run();
}
