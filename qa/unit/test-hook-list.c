/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/hook-list and hooks-load: which hooks there are, which are left out, and which refused. */
#include "config.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qa/unit/hooks-rig.h"

static void assert_refused(Rig *rig, const char *why)
{
	const char *text = rig_load(rig);

	g_assert_nonnull(text);
	if (!strstr(text, why))
		g_error("'%s' does not say '%s'", text, why);
	rig_assert_said(rig, "");
}

static void test_insecure_hooks_are_refused_by_name(void)
{
	Rig *rig = rig_new();
	g_autofree char *path = rig_add_file(rig, "20-b", SAY, 0755);
	g_autofree char *other = g_build_filename(rig->folder, "other", NULL);

	rig_add(rig, "10-a", SAY);
	g_assert_cmpstr(rig_load(rig), ==, NULL);
	g_assert_cmpint(chmod(path, 0775), ==, 0);
	assert_refused(rig, "hook '20-b' is refused: others than root may write to ");
	g_assert_cmpint(chmod(path, 0757), ==, 0);
	assert_refused(rig, "hook '20-b' is refused: others than root may write to ");
	g_assert_cmpint(chmod(path, 0644), ==, 0);
	assert_refused(rig, "is not executable");
	g_assert_cmpint(chmod(path, 0755), ==, 0);
	if (geteuid() == 0) {
		g_assert_cmpint(chown(path, 12345, 0), ==, 0);
		assert_refused(rig, "belongs to user 12345, not to root");
		g_assert_cmpint(chown(path, 0, 0), ==, 0);
	}
	g_assert_cmpint(chmod(rig->directory, 0775), ==, 0);
	assert_refused(rig, "hooks.d' is refused: others than root may write to ");
	g_assert_cmpint(chmod(rig->directory, 0755), ==, 0);
	/* A link counts for what it leads to, and for each folder on the way. */
	g_assert_cmpint(g_mkdir(other, 0755), ==, 0);
	g_autofree char *target = g_build_filename(other, "hook", NULL);
	g_assert_cmpint(g_rename(path, target), ==, 0);
	g_assert_cmpint(symlink("../other/../other/hook", path), ==, 0);
	g_assert_cmpstr(rig_load(rig), ==, NULL);
	g_assert_cmpint(chmod(other, 0777), ==, 0);
	assert_refused(rig, "other'");
	g_assert_cmpint(chmod(other, 0755), ==, 0);
	g_assert_cmpint(chmod(target, 0777), ==, 0);
	assert_refused(rig, "other/hook'");
	g_assert_cmpint(unlink(target), ==, 0);
	assert_refused(rig, "No such file");
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(symlink("20-b", path), ==, 0);
	assert_refused(rig, "leads nowhere");
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
	assert_refused(rig, "is no regular file");
	rig_free(rig);
}

static void test_copies_and_disabled_ones_are_left_out(void)
{
	static const char *const names[] = {".hidden",    "a~",         "b.disabled", "c.dpkg-old",
					    "d.dpkg-new", "e.rpmsave",  "f.bak",      "g.rpmnew",
					    "h.sample",   "i.ucf-dist", "j.orig"};
	Rig *rig = rig_new();

	/* Not even looked at: the mode would be refused. */
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		g_free(rig_add_file(rig, names[i], SAY, 0666));
	rig_add(rig, "10-a", SAY);
	g_assert_null(rig_freeze(rig));
	rig_assert_said(rig, "10-a freeze;");
	rig_thaw(rig);
	rig_free(rig);
}

static void test_a_missing_folder_is_no_error_but_a_missing_qemu_hook_is(void)
{
	Rig *rig = rig_new();

	g_assert_cmpint(g_rmdir(rig->directory), ==, 0);
	g_assert_null(rig_freeze(rig));
	rig_thaw(rig);
	rig->settings.directory = "nowhere";
	rig_set_timeout(rig, 20);
	assert_refused(rig, "'nowhere' is no absolute path");
	rig->settings.directory = rig->directory;
	rig->settings.fsfreeze_hook = "/nowhere/at/all";
	rig_set_timeout(rig, 20);
	assert_refused(rig, "hook '/nowhere/at/all' is refused: look at '/nowhere'");
	rig->settings.fsfreeze_hook = NULL;
	rig_free(rig);
}

static void test_more_than_the_record_holds_are_refused(void)
{
	Rig *rig = rig_new();

	for (int i = 0; i < SF_RECORD_MAX_HOOKS; i++) {
		g_autofree char *name = g_strdup_printf("%02d", i);
		rig_add(rig, name, "exit 0\n");
	}
	g_assert_null(rig_freeze(rig));
	rig_thaw(rig);
	rig_add(rig, "zz", "exit 0\n");
	assert_refused(rig, "more than 32 hooks");
	rig_free(rig);
}

/* Its child ends later, and nobody must hear of it. */
static void test_a_load_that_was_stopped_is_not_heard_of(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-a", SAY);
	sf_hooks_load(rig->hooks, rig_on_done, rig);
	sf_hooks_stop(rig->hooks);
	rig_add(rig, "20-b", SAY);
	sf_hooks_load(rig->hooks, rig_on_done, rig);
	rig_wait_until_done(rig);
	g_assert_true(sf_hooks_are_loaded(rig->hooks));
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_false(rig->is_done);
	g_assert_cmpstr(rig_freeze(rig), ==, NULL);
	rig_assert_said(rig, "10-a freeze;20-b freeze;");
	rig_thaw(rig);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	/* As the agent does. */
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/hook-list/insecure-hooks-are-refused-by-name",
			test_insecure_hooks_are_refused_by_name);
	g_test_add_func("/hook-list/copies-and-disabled-ones-are-left-out",
			test_copies_and_disabled_ones_are_left_out);
	g_test_add_func("/hook-list/a-missing-folder-is-no-error-but-a-missing-qemu-hook-is",
			test_a_missing_folder_is_no_error_but_a_missing_qemu_hook_is);
	g_test_add_func("/hook-list/more-than-the-record-holds-are-refused",
			test_more_than_the_record_holds_are_refused);
	g_test_add_func("/hook-list/a-load-that-was-stopped-is-not-heard-of",
			test_a_load_that_was_stopped_is_not_heard_of);
	return g_test_run();
}
