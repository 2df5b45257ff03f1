/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/predecessor: when qemu-ga's note counts, and what is taken over into the record. */
#include "config.h"

#include <glib.h>
#include <glib/gstdio.h>

#include "agent/predecessor.h"
#include "qa/unit/fake-machine.h"

#define TABLE                                             \
	"22 1 253:1 / / rw - ext4 /dev/vda1 rw\n"         \
	"23 22 253:2 / /srv rw - xfs /dev/vda2 rw\n"      \
	"24 22 253:2 /a /bind ro - xfs /dev/vda2 rw\n"    \
	"25 22 253:3 / /media ro - iso9660 /dev/vdb ro\n" \
	"26 22 0:30 / /net rw - nfs server:/x rw\n"       \
	"27 22 0:31 / /run rw - tmpfs tmpfs rw\n"         \
	"28 22 0:32 / /var rw - btrfs /dev/vdc rw\n"

typedef struct {
	FakeMachine *machine;
	SfPredecessorSource source;
	SfRecord *record;
} Fixture;

static void fixture_init(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *run = NULL;
	g_auto(GStrv) folders = g_new0(char *, 3);

	fixture->machine = fake_machine_new(TABLE);
	fake_machine_write(fixture->machine, "state/other", "");
	fake_machine_write(fixture->machine, "proc/1/comm", "init\n");
	run = g_build_filename(fixture->machine->folder, "run", NULL);
	folders[0] = g_strdup(run);
	folders[1] = g_build_filename(fixture->machine->folder, "state", NULL);
	fixture->source = (SfPredecessorSource){
		.folders = g_steal_pointer(&folders),
		.proc = fixture->machine->proc,
		.mountinfo = fixture->machine->mountinfo,
	};
	fixture->record = sf_record_open(run, false, &error);
	g_assert_no_error(error);
}

static void fixture_clear(Fixture *fixture)
{
	sf_record_close(fixture->record);
	sf_predecessor_source_clear(&fixture->source);
	fake_machine_free(fixture->machine);
}

static void freeze(Fixture *fixture)
{
	fake_machine_write(fixture->machine, "state/qga.state.isfrozen", "");
}

static bool is_noted(const Fixture *fixture)
{
	g_autofree char *note =
		g_build_filename(fixture->machine->folder, "state", "qga.state.isfrozen", NULL);

	return g_file_test(note, G_FILE_TEST_EXISTS);
}

static void test_its_configuration_names_a_folder(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new(TABLE);
	g_autofree char *conf = g_build_filename(machine->folder, "qemu-ga.conf", NULL);
	g_auto(GStrv) usual = sf_predecessor_folders(conf, "/ours");

	g_assert_true(g_strv_contains((const char *const *)usual, "/var/run"));
	g_assert_true(g_strv_contains((const char *const *)usual, "/ours"));
	fake_machine_write(machine, "qemu-ga.conf", "[general]\nstatedir=/theirs\n");
	g_auto(GStrv) named = sf_predecessor_folders(conf, "/ours");
	g_assert_true(g_strv_contains((const char *const *)named, "/theirs"));
}

static void test_a_note_counts_once_its_qemu_ga_has_ended(void)
{
	Fixture fixture;
	pid_t pid = 0;

	fixture_init(&fixture);
	g_assert_cmpint(sf_predecessor_find(&fixture.source, &pid), ==, SF_PREDECESSOR_NONE);
	freeze(&fixture);
	g_assert_cmpint(sf_predecessor_find(&fixture.source, &pid), ==, SF_PREDECESSOR_GONE);
	fake_machine_write(fixture.machine, "proc/77/comm", "qemu-ga\n");
	fake_machine_write(fixture.machine, "proc/77/status", "Name:\tqemu-ga\nState:\tD (disk)\n");
	g_assert_cmpint(sf_predecessor_find(&fixture.source, &pid), ==, SF_PREDECESSOR_RUNS);
	g_assert_cmpint(pid, ==, 77);
	fake_machine_write(fixture.machine, "proc/77/status",
			   "Name:\tqemu-ga\nState:\tZ (zombie)\n");
	g_assert_cmpint(sf_predecessor_find(&fixture.source, &pid), ==, SF_PREDECESSOR_GONE);
	fixture_clear(&fixture);
}

static void test_a_note_that_is_no_file_is_none(void)
{
	Fixture fixture;
	pid_t pid = 0;

	fixture_init(&fixture);
	fake_machine_link(fixture.machine, "state/qga.state.isfrozen", "other");
	g_assert_cmpint(sf_predecessor_find(&fixture.source, &pid), ==, SF_PREDECESSOR_NONE);
	fixture_clear(&fixture);
}

static uint32_t state_of(const SfRecord *record, uint32_t major, uint32_t minor)
{
	for (uint32_t i = 0; i < record->map->count; i++)
		if (record->map->entries[i].major == major &&
		    record->map->entries[i].minor == minor)
			return atomic_load(&record->map->entries[i].state);
	return UINT32_MAX;
}

static void test_all_that_may_be_frozen_is_ours_then(void)
{
	Fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	freeze(&fixture);
	g_assert_true(sf_predecessor_adopt(&fixture.source, "/etc/qemu/fsfreeze-hook",
					   fixture.record, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(sf_record_count_ours(fixture.record), ==, 3);
	g_assert_cmpuint(state_of(fixture.record, 253, 1), ==, SF_ENTRY_FROZEN);
	g_assert_cmpuint(state_of(fixture.record, 253, 2), ==, SF_ENTRY_FROZEN);
	g_assert_cmpuint(state_of(fixture.record, 0, 32), ==, SF_ENTRY_FROZEN);
	g_assert_cmpuint(atomic_load(&fixture.record->map->begun_ms), >, 0);
	g_assert_cmpuint(fixture.record->map->verdict, ==, SF_VERDICT_INCONSISTENT);
	g_assert_cmpuint(atomic_load(&fixture.record->map->hook_count), ==, 1);
	g_assert_cmpstr(fixture.record->map->hooks[0].path, ==, "/etc/qemu/fsfreeze-hook");
	while (is_noted(&fixture)) /* a child takes it away */
		g_usleep(1000);
	fixture_clear(&fixture);
}

static void test_nothing_is_taken_over_without_a_note(void)
{
	Fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	g_assert_false(sf_predecessor_adopt(&fixture.source, NULL, fixture.record, &error));
	g_assert_nonnull(error);
	g_assert_cmpuint(sf_record_count_ours(fixture.record), ==, 0);
	fixture_clear(&fixture);
}

static void put(SfRecord *record, uint32_t index, uint32_t minor, enum sf_entry_state state)
{
	record->map->entries[index] = (struct sf_record_entry){.major = 253, .minor = minor};
	atomic_store(&record->map->entries[index].state, state);
	record->map->count = index + 1;
}

static void test_what_an_earlier_agent_left_is_of_one_freeze_with_it(void)
{
	Fixture fixture;
	g_autoptr(GError) error = NULL;

	fixture_init(&fixture);
	struct sf_record *map = fixture.record->map;
	map->id = 7;
	g_strlcpy(map->channel, "local", sizeof(map->channel));
	atomic_store(&map->end, SF_END_TIMEOUT);
	put(fixture.record, 0, 1, SF_ENTRY_FOREIGN);
	put(fixture.record, 1, 2, SF_ENTRY_FREEZING);
	freeze(&fixture);
	g_assert_true(sf_predecessor_adopt(&fixture.source, NULL, fixture.record, &error));
	g_assert_cmpuint(map->count, ==, 3);
	g_assert_cmpuint(state_of(fixture.record, 253, 1), ==, SF_ENTRY_FROZEN);
	g_assert_cmpuint(state_of(fixture.record, 253, 2), ==, SF_ENTRY_FREEZING);
	g_assert_cmpuint(state_of(fixture.record, 0, 32), ==, SF_ENTRY_FROZEN);
	g_assert_cmpint(map->id, ==, 7);
	g_assert_cmpuint(atomic_load(&map->begun_ms), >, 0);
	g_assert_cmpstr(map->channel, ==, "");
	g_assert_cmpuint(map->verdict, ==, SF_VERDICT_INCONSISTENT);
	g_assert_cmpstr(map->reason, ==,
			"agent and freezer died; qemu-ga had frozen it, and has ended since");
	while (is_noted(&fixture))
		g_usleep(1000);
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/predecessor/its-configuration-names-a-folder",
			test_its_configuration_names_a_folder);
	g_test_add_func("/predecessor/a-note-counts-once-its-qemu-ga-has-ended",
			test_a_note_counts_once_its_qemu_ga_has_ended);
	g_test_add_func("/predecessor/a-note-that-is-no-file-is-none",
			test_a_note_that_is_no_file_is_none);
	g_test_add_func("/predecessor/all-that-may-be-frozen-is-ours-then",
			test_all_that_may_be_frozen_is_ours_then);
	g_test_add_func("/predecessor/what-an-earlier-agent-left-is-of-one-freeze-with-it",
			test_what_an_earlier_agent_left_is_of_one_freeze_with_it);
	g_test_add_func("/predecessor/nothing-is-taken-over-without-a-note",
			test_nothing_is_taken_over_without_a_note);
	return g_test_run();
}
