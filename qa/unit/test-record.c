/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/record: the locks, which one process at a time holds and no dead one. */
#include "config.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/record.h"

typedef struct {
	char *folder;
	SfRecord *record;
} Fixture;

static void fixture_init(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;

	fixture->folder = g_dir_make_tmp("snapfreeze-record-XXXXXX", NULL);
	fixture->record = sf_record_open(fixture->folder, false, &error);
	g_assert_no_error(error);
}

static void fixture_clear(Fixture *fixture)
{
	g_unlink(fixture->record->path);
	g_rmdir(fixture->folder);
	sf_record_close(fixture->record);
	g_free(fixture->folder);
}

/* In a process of its own. */
static bool can_lock(const SfRecord *record, uint32_t index)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(sf_record_lock_entry(record, index) ? EXIT_SUCCESS : EXIT_FAILURE);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* Returns: the pid of a process that holds the lock until it is killed. */
static pid_t hold_lock(const SfRecord *record, uint32_t index)
{
	int ready[2];
	char byte = 0;

	g_assert_cmpint(pipe(ready), ==, 0);
	pid_t child = fork();
	if (child == 0) {
		byte = sf_record_lock_entry(record, index);
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(EXIT_FAILURE);
	}
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
	g_assert_cmpint(byte, ==, 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void test_an_entry_is_thawed_by_one_at_a_time(void)
{
	Fixture fixture;

	fixture_init(&fixture);
	/* The record's own lock, which this process holds, is none of the entries'. */
	pid_t child = hold_lock(fixture.record, 3);
	g_assert_false(can_lock(fixture.record, 3));
	g_assert_true(can_lock(fixture.record, 2));
	g_assert_true(can_lock(fixture.record, 4));
	kill(child, SIGKILL);
	g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
	g_assert_true(can_lock(fixture.record, 3));
	fixture_clear(&fixture);
}

/* In a process of its own: locks of one process do not exclude each other. */
static bool can_open(const char *folder)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(sf_record_open(folder, false, NULL) ? EXIT_SUCCESS : EXIT_FAILURE);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static void test_a_record_is_one_agents(void)
{
	Fixture fixture;

	fixture_init(&fixture);
	g_assert_false(can_open(fixture.folder));
	fixture_clear(&fixture);
}

static void test_it_can_be_looked_at_while_another_has_it(void)
{
	Fixture fixture;

	fixture_init(&fixture);
	fixture.record->map->count = 1;
	atomic_store(&fixture.record->map->entries[0].state, SF_ENTRY_FROZEN);
	g_autoptr(SfRecord) looked = sf_record_look(fixture.folder);
	g_assert_nonnull(looked);
	g_assert_cmpuint(sf_record_count_ours(looked), ==, 1);
	g_assert_false(can_open(fixture.folder));
	fixture.record->map->boot_id[0] ^= 1;
	g_assert_null(sf_record_look(fixture.folder));
	fixture_clear(&fixture);
}

/* In a process of its own, which dies where the file was cut off under its mapping. */
static bool can_read_last_byte(const volatile char *map, size_t size)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(map[size - 1] == 'x' ? EXIT_SUCCESS : EXIT_FAILURE);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* Its freezer may still be at work, on a disk that does not answer. */
static void test_another_versions_record_is_not_cut_off(void)
{
	size_t size = sizeof(struct sf_record) + 4096;
	g_autofree char *folder = g_dir_make_tmp("snapfreeze-record-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "record", NULL);
	g_autofree char *text = g_malloc(size);
	g_autoptr(GError) error = NULL;

	memset(text, 'x', size);
	g_assert_true(g_file_set_contents(path, text, (gssize)size, NULL));
	g_autoptr(GMappedFile) old = g_mapped_file_new(path, TRUE, NULL);
	g_autoptr(SfRecord) record = sf_record_open(folder, false, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(sf_record_count_ours(record), ==, 0);
	g_assert_true(can_read_last_byte(g_mapped_file_get_contents(old), size));
	g_assert_false(can_open(folder));
	g_unlink(path);
	g_rmdir(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/record/an-entry-is-thawed-by-one-at-a-time",
			test_an_entry_is_thawed_by_one_at_a_time);
	g_test_add_func("/record/a-record-is-one-agents", test_a_record_is_one_agents);
	g_test_add_func("/record/it-can-be-looked-at-while-another-has-it",
			test_it_can_be_looked_at_while_another_has_it);
	g_test_add_func("/record/another-versions-record-is-not-cut-off",
			test_another_versions_record_is_not_cut_off);
	return g_test_run();
}
