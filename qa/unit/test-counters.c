/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/counters: that a write between two readings is seen, and nothing else is. */
#include "config.h"

#include <stdio.h>

#include "agent/counters.h"
#include "qa/unit/fake-machine.h"

/* reads; writes; in flight, times; discards; flushes */
#define IDLE "10 1 80 5 200 30 1600 9 0 14 14 7 0 56 3 11 2\n"
#define READ_AND_FLUSHED "99 9 800 5 200 30 1600 9 3 99 99 7 0 56 3 12 4\n"
#define WRITTEN "10 1 80 5 201 30 1608 9 0 14 14 7 0 56 3 11 2\n"
#define DISCARDED "10 1 80 5 200 30 1600 9 0 14 14 8 0 64 3 11 2\n"
#define WRITTEN_NOTHING "10 1 80 5 201 30 1600 9 0 14 14 7 0 56 3 11 2\n"
#define DISCARDED_MORE "10 1 80 5 200 30 1600 9 0 14 14 8 0 72 3 11 2\n"
#define DISCARDED_NOTHING "10 1 80 5 200 30 1600 9 0 14 14 9 0 72 3 11 2\n"
#define NEW "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
#define OLD "10 1 80 5 200 30 1600 9 0 14 14\n"
#define OLD_WRITTEN "10 1 80 5 200 30 1608 9 0 14 14\n"

typedef struct {
	FakeMachine *machine;
	SfPlan *plan;
	SfCounters *counters;
} Fixture;

/* Targets, in this order: /b on two devices (a btrfs), /a on one, /lost on none that is known. */
static void set_up(Fixture *fixture, gconstpointer data)
{
	FakeMachine *machine = fake_machine_new("20 1 253:1 / /a rw - ext4 /dev/vda rw\n"
						"21 1 0:50 / /b rw - btrfs /dev/vdb rw\n"
						"22 1 0:51 / /lost rw - btrfs /dev/vdz rw\n");
	g_autoptr(GError) error = NULL;

	fake_machine_disk(machine, "vda", "253:1", "virtio1");
	fake_machine_disk(machine, "vdb", "253:16", "virtio2");
	fake_machine_disk(machine, "vdc", "253:32", "virtio3");
	fake_machine_btrfs(machine, "6a7f", "vdb");
	fake_machine_btrfs(machine, "6a7f", "vdc");
	fake_machine_attribute(machine, "vda", "stat", IDLE);
	fake_machine_attribute(machine, "vdb", "stat", IDLE);
	fake_machine_attribute(machine, "vdc", "stat", OLD);
	fixture->machine = machine;
	fixture->plan = sf_plan_new(&machine->source, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(fixture->plan->targets->len, ==, 3);
	fixture->counters = sf_counters_open(fixture->plan, machine->sys, &error);
	g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	sf_counters_free(fixture->counters);
	sf_plan_free(fixture->plan);
	fake_machine_free(fixture->machine);
}

/* Written in place, as the kernel does it: the file that is open stays the same. */
static void set_stat(Fixture *fixture, const char *device, const char *text)
{
	g_autofree char *path =
		g_build_filename(fixture->machine->sys, "class/block", device, "stat", NULL);
	FILE *file = fopen(path, "w");

	g_assert_nonnull(file);
	g_assert_cmpint(fputs(text, file), >=, 0);
	g_assert_cmpint(fclose(file), ==, 0);
}

/* @written: mount points of the targets that must be named; @device's counters change to @text */
static void assert_written(Fixture *fixture, const char *device, const char *text,
			   const char *written)
{
	g_autoptr(GArray) before = sf_counters_read(fixture->counters);
	g_autoptr(GArray) after = NULL;
	g_autoptr(GArray) found = NULL;
	g_autoptr(GString) names = g_string_new(NULL);

	set_stat(fixture, device, text);
	after = sf_counters_read(fixture->counters);
	found = sf_counters_compare(fixture->counters, before, after);
	for (guint i = 0; i < found->len; i++) {
		const SfTarget *target =
			g_ptr_array_index(fixture->plan->targets, g_array_index(found, guint, i));

		g_string_append(names, target->mountpoint);
	}
	g_assert_cmpstr(names->str, ==, written);
}

static void test_written(Fixture *fixture, gconstpointer data)
{
	assert_written(fixture, "vda", IDLE, "");
	assert_written(fixture, "vda", READ_AND_FLUSHED, "");
	assert_written(fixture, "vda", WRITTEN, "/a");
	assert_written(fixture, "vda", IDLE, "/a");
	assert_written(fixture, "vda", DISCARDED, "/a");
	assert_written(fixture, "vda", DISCARDED_MORE, "/a");
	assert_written(fixture, "vda", DISCARDED_NOTHING, "");
	assert_written(fixture, "vda", IDLE, "/a");
	/* A write of no bytes is an empty flush. */
	assert_written(fixture, "vda", WRITTEN_NOTHING, "");
	assert_written(fixture, "vda", IDLE, "");
	assert_written(fixture, "vdb", WRITTEN, "/b");
	/* The second device counts as well, and kernels without the later fields. */
	assert_written(fixture, "vdc", OLD_WRITTEN, "/b");
	/* Counters that cannot be read any more vouch for nothing. */
	assert_written(fixture, "vdc", NEW, "/b");
	assert_written(fixture, "vdc", "rubbish", "/b");
}

static void test_watched(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GArray) readings = sf_counters_read(fixture->counters);

	for (guint i = 0; i < 3; i++) {
		const SfTarget *target = g_ptr_array_index(fixture->plan->targets, i);

		g_assert_cmpint(sf_counters_is_watched(fixture->counters, readings, i), ==,
				!g_str_equal(target->mountpoint, "/lost"));
	}
}

/* As the kernel answers where a disk was unplugged before the first reading. */
static void test_taken_away(Fixture *fixture, gconstpointer data)
{
	set_stat(fixture, "vdc", "");
	g_autoptr(GArray) readings = sf_counters_read(fixture->counters);

	for (guint i = 0; i < 3; i++) {
		const SfTarget *target = g_ptr_array_index(fixture->plan->targets, i);

		g_assert_cmpint(sf_counters_is_watched(fixture->counters, readings, i), ==,
				g_str_equal(target->mountpoint, "/a"));
	}
}

static void test_unwatched_device(void)
{
	g_autoptr(FakeMachine) machine =
		fake_machine_new("20 1 253:1 / /a rw - ext4 /dev/vda rw\n");
	g_autoptr(GError) error = NULL;
	g_autoptr(SfPlan) plan = sf_plan_new(&machine->source, NULL, &error);
	g_autoptr(SfCounters) counters = NULL;
	g_autoptr(GArray) reading = NULL;
	g_autoptr(GArray) written = NULL;

	g_assert_no_error(error);
	counters = sf_counters_open(plan, machine->sys, &error);
	g_assert_no_error(error);
	reading = sf_counters_read(counters);
	g_assert_false(sf_counters_is_watched(counters, reading, 0));
	written = sf_counters_compare(counters, reading, reading);
	g_assert_cmpuint(written->len, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/counters/written", Fixture, NULL, set_up, test_written, tear_down);
	g_test_add("/counters/watched", Fixture, NULL, set_up, test_watched, tear_down);
	g_test_add("/counters/taken-away", Fixture, NULL, set_up, test_taken_away, tear_down);
	g_test_add_func("/counters/unwatched-device", test_unwatched_device);
	return g_test_run();
}
