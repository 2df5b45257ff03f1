/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/freezer/limits: what was in force comes back to the letter, whoever died where, and what
 * somebody else has set stays. The sysctls are plain files here; the test plays the kernel, which
 * zeroes the twin of what is written.
 */
#include "config.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>

#include "agent/freezer/limits.h"

typedef struct {
	char *proc, *vm;
	struct sf_record_limits record;
	struct sf_limits limits;
} Fixture;

static void set(const Fixture *fixture, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(fixture->vm, name, NULL);

	/* In place: the fds are open. */
	FILE *file = fopen(path, "we");
	g_assert_nonnull(file);
	g_assert_cmpint(fputs(text, file), >=, 0);
	g_assert_cmpint(fclose(file), ==, 0);
}

static guint64 get(const Fixture *fixture, const char *name)
{
	g_autofree char *path = g_build_filename(fixture->vm, name, NULL);
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return g_ascii_strtoull(text, NULL, 10);
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->proc = g_dir_make_tmp("sf-limits-XXXXXX", NULL);
	fixture->vm = g_build_filename(fixture->proc, "sys", "vm", NULL);
	g_assert_cmpint(g_mkdir_with_parents(fixture->vm, 0700), ==, 0);
	set(fixture, "dirty_bytes", "0\n");
	set(fixture, "dirty_ratio", "40\n");
	set(fixture, "dirty_background_bytes", "500000\n");
	set(fixture, "dirty_background_ratio", "0\n");
	g_assert_cmpint(sf_limits_open(&fixture->limits, fixture->proc, &fixture->record), ==, 0);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	static const char *const names[] = {"dirty_bytes", "dirty_ratio", "dirty_background_bytes",
					    "dirty_background_ratio"};
	g_autofree char *sys = g_build_filename(fixture->proc, "sys", NULL);

	sf_limits_close(&fixture->limits);
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(fixture->vm, names[i], NULL);
		g_unlink(path);
	}
	g_rmdir(fixture->vm);
	g_rmdir(sys);
	g_rmdir(fixture->proc);
	g_free(fixture->vm);
	g_free(fixture->proc);
}

/* As the kernel leaves it once the bytes are written. */
static void lower(Fixture *fixture, uint64_t bytes, uint64_t background)
{
	g_assert_cmpint(sf_limits_lower(&fixture->limits, SF_LIMIT_DIRTY, bytes), ==, 0);
	g_assert_cmpint(sf_limits_lower(&fixture->limits, SF_LIMIT_BACKGROUND, background), ==, 0);
	set(fixture, "dirty_ratio", "0\n");
	set(fixture, "dirty_background_ratio", "0\n");
}

static void test_what_was_in_force_comes_back(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(sf_limits_save(&fixture->limits), ==, 0);
	lower(fixture, 900000, 450000);
	lower(fixture, 800000, 400000);
	g_assert_cmpuint(get(fixture, "dirty_bytes"), ==, 800000);
	g_assert_cmpint(sf_limits_restore(&fixture->limits), ==, 0);
	/* The ratio was in force of the one, the bytes of the other. */
	g_assert_cmpuint(get(fixture, "dirty_ratio"), ==, 40);
	g_assert_cmpuint(get(fixture, "dirty_background_bytes"), ==, 500000);
	g_assert_cmpuint(get(fixture, "dirty_background_ratio"), ==, 0);
}

static void test_what_was_not_saved_is_not_touched(Fixture *fixture, gconstpointer data)
{
	fixture->record.limits[SF_LIMIT_DIRTY].ours = 7;
	set(fixture, "dirty_bytes", "7\n");
	g_assert_cmpint(sf_limits_restore(&fixture->limits), ==, 0);
	g_assert_cmpuint(get(fixture, "dirty_bytes"), ==, 7);
	g_assert_cmpuint(get(fixture, "dirty_ratio"), ==, 40);
}

static void test_an_administrators_value_stays(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(sf_limits_save(&fixture->limits), ==, 0);
	lower(fixture, 900000, 450000);
	set(fixture, "dirty_bytes", "123456\n");
	g_assert_cmpint(sf_limits_lower(&fixture->limits, SF_LIMIT_DIRTY, 800000), ==, -EBUSY);
	g_assert_cmpuint(get(fixture, "dirty_bytes"), ==, 123456);
	g_assert_cmpint(sf_limits_restore(&fixture->limits), ==, 0);
	g_assert_cmpuint(get(fixture, "dirty_bytes"), ==, 123456);
	g_assert_cmpuint(get(fixture, "dirty_ratio"), ==, 0);
	/* Each by itself. */
	g_assert_cmpuint(get(fixture, "dirty_background_bytes"), ==, 500000);
}

static void test_a_value_set_before_the_first_step_stays(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(sf_limits_save(&fixture->limits), ==, 0);
	set(fixture, "dirty_bytes", "123456\n");
	g_assert_cmpint(sf_limits_lower(&fixture->limits, SF_LIMIT_DIRTY, 800000), ==, -EBUSY);
	g_assert_cmpint(sf_limits_restore(&fixture->limits), ==, 0);
	g_assert_cmpuint(get(fixture, "dirty_bytes"), ==, 123456);
}

/* Dead between the note of the next value and its write, or between the write and its note. */
static void test_death_between_note_and_write(Fixture *fixture, gconstpointer data)
{
	static const char *const in_force[] = {"900000\n", "800000\n"};

	for (guint i = 0; i < G_N_ELEMENTS(in_force); i++) {
		set(fixture, "dirty_bytes", "0\n");
		set(fixture, "dirty_background_bytes", "500000\n");
		g_assert_cmpint(sf_limits_save(&fixture->limits), ==, 0);
		lower(fixture, 900000, 450000);
		fixture->record.limits[SF_LIMIT_DIRTY].next = 800000;
		set(fixture, "dirty_bytes", in_force[i]);
		g_assert_cmpint(sf_limits_restore(&fixture->limits), ==, 0);
		g_assert_cmpuint(get(fixture, "dirty_ratio"), ==, 40);
	}
}

/* The freezer has restored, and the agent does not know yet: it must not lower again, and may
 * restore again. */
static void test_restored_twice(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(sf_limits_save(&fixture->limits), ==, 0);
	lower(fixture, 900000, 450000);
	g_assert_cmpint(sf_limits_restore(&fixture->limits), ==, 0);
	set(fixture, "dirty_bytes", "0\n"); /* by the kernel */
	g_assert_cmpint(sf_limits_lower(&fixture->limits, SF_LIMIT_DIRTY, 800000), ==, -EBUSY);
	set(fixture, "dirty_ratio", "30\n");
	g_assert_cmpint(sf_limits_restore(&fixture->limits), ==, 0);
	g_assert_cmpuint(get(fixture, "dirty_ratio"), ==, 30);
	sf_limits_forget(&fixture->limits);
	g_assert_cmpuint(fixture->record.are_saved, ==, 0);
}

static void test_one_that_is_missing_leaves_none_open(Fixture *fixture, gconstpointer data)
{
	g_autofree char *path = g_build_filename(fixture->vm, "dirty_ratio", NULL);
	struct sf_limits limits;

	g_unlink(path);
	g_assert_cmpint(sf_limits_open(&limits, fixture->proc, &fixture->record), ==, -ENOENT);
	for (int i = 0; i < SF_LIMIT_COUNT; i++)
		g_assert_true(limits.bytes[i] == -1 && limits.ratio[i] == -1);
	fixture->record.are_saved = 1;
	g_assert_cmpint(sf_limits_restore(&limits), ==, -EBADF);
}

#define ADD(name, function) g_test_add("/limits/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("what-was-in-force-comes-back", test_what_was_in_force_comes_back);
	ADD("what-was-not-saved-is-not-touched", test_what_was_not_saved_is_not_touched);
	ADD("an-administrators-value-stays", test_an_administrators_value_stays);
	ADD("a-value-set-before-the-first-step-stays",
	    test_a_value_set_before_the_first_step_stays);
	ADD("death-between-note-and-write", test_death_between_note_and_write);
	ADD("restored-twice", test_restored_twice);
	ADD("one-that-is-missing-leaves-none-open", test_one_that_is_missing_leaves_none_open);
	return g_test_run();
}
