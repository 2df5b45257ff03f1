/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/hooks with hooks that stay: they hold until they hear "thaw", and one that ends is told. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "qa/unit/hooks-rig.h"

/* A session that says what it hears: its line, and the end of file. */
#define SESSION                                                                     \
	SAY "echo frozen\nread line; echo \"heard $line\" >> \"${0%/*}/../said\"\n" \
	    "read line || echo eof >> \"${0%/*}/../said\"\n"

static void test_a_session_holds_until_it_hears_thaw(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-db.session", "echo connecting\n" SESSION);
	rig_add(rig, "20-b", SAY);
	g_assert_null(rig_freeze(rig));
	g_assert_true(sf_hooks_hold(rig->hooks));
	rig_assert_said(rig, "10-db.session session;20-b freeze;");
	g_assert_cmpint(result_at(sf_hooks_freezes(rig->hooks), 0)->status, ==, -1);
	g_assert_null(result_at(sf_hooks_freezes(rig->hooks), 0)->trouble);
	rig_thaw(rig);
	rig_assert_said(rig, "10-db.session session;20-b freeze;20-b thaw;heard thaw;eof;");
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 1)->status, ==, 0);
	g_assert_null(rig->loss);
	rig_free(rig);
}

static void test_only_the_whole_line_says_frozen(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-db.session", "echo not frozen; echo frozen.; echo frozenfrozen; exit 0\n");
	g_assert_cmpstr(rig_freeze(rig), ==,
			"hook '10-db.session' failed to freeze: ended without saying \"frozen\": "
			"not frozen\nfrozen.\nfrozenfrozen");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*ended without saying*");
	rig_thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void test_a_session_that_never_answers_is_ended(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-db.session", SAY "echo waiting; sleep 1000\n");
	rig_set_timeout(rig, 1);
	g_assert_cmpstr(rig_freeze(rig), ==,
			"hook '10-db.session' failed to freeze: did not finish within "
			"1 s: waiting");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*did not finish*");
	rig_thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void test_a_session_that_does_not_end_is_ended(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-db.session", SAY "echo frozen; sleep 1000\n");
	rig_set_timeout(rig, 1);
	g_assert_null(rig_freeze(rig));
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*did not finish within 1 s*");
	rig_thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void test_a_lost_session_is_told(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-db.session",
		"echo frozen; exec 0< \"${0%/*}/../fifo\"; read line; exit 4\n");
	g_autofree char *fifo = g_build_filename(rig->folder, "fifo", NULL);
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	g_assert_null(rig_freeze(rig));
	g_assert_true(sf_hooks_hold(rig->hooks));
	FILE *file = fopen(fifo, "w");
	fputs("end\n", file);
	fclose(file);
	/* Before the main loop hears of it. */
	while (sf_hooks_hold(rig->hooks))
		g_usleep(2000);
	while (!rig->loss)
		g_main_loop_run(rig->loop);
	g_assert_cmpstr(rig->loss, ==,
			"hook '10-db.session' no longer holds: exit status 4: frozen");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*exit status 4*");
	rig_thaw(rig);
	g_test_assert_expected_messages();
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 0)->status, ==, 4);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	/* As the agent does. */
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/hook-sessions/a-session-holds-until-it-hears-thaw",
			test_a_session_holds_until_it_hears_thaw);
	g_test_add_func("/hook-sessions/only-the-whole-line-says-frozen",
			test_only_the_whole_line_says_frozen);
	g_test_add_func("/hook-sessions/a-session-that-never-answers-is-ended",
			test_a_session_that_never_answers_is_ended);
	g_test_add_func("/hook-sessions/a-session-that-does-not-end-is-ended",
			test_a_session_that_does_not_end_is_ended);
	g_test_add_func("/hook-sessions/a-lost-session-is-told", test_a_lost_session_is_told);
	return g_test_run();
}
