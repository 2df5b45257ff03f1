/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/hooks and what it is made of: order, deadline, output, and that whatever was told to freeze
 * is told to thaw, by the next agent where one has died.
 */
#include "config.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qa/unit/hooks-rig.h"

static void test_in_name_order_and_back(void)
{
	Rig *rig = rig_new();
	g_autofree char *first = g_build_filename(rig->folder, "qemu-hook", NULL);

	rig_add(rig, "20-b", SAY);
	rig_add(rig, "10-a", SAY);
	rig_add(rig, "30-c", SAY);
	rig->settings.fsfreeze_hook = first;
	rig_set_timeout(rig, 20);
	/* It says so beside itself. */
	g_assert_true(g_file_set_contents(first,
					  "#!/bin/sh\necho \"qemu $1\" >> \"${0%/*}/said\"\n", -1,
					  NULL));
	g_assert_cmpint(chmod(first, 0755), ==, 0);
	g_assert_null(rig_freeze(rig));
	rig_assert_said(rig, "qemu freeze;10-a freeze;20-b freeze;30-c freeze;");
	rig_thaw(rig);
	rig_assert_said(rig, "qemu freeze;10-a freeze;20-b freeze;30-c freeze;"
			     "30-c thaw;20-b thaw;10-a thaw;qemu thaw;");
	g_assert_cmpstr(result_at(sf_hooks_freezes(rig->hooks), 1)->name, ==, "10-a");
	g_assert_cmpstr(result_at(sf_hooks_thaws(rig->hooks), 3)->name, ==, first);
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 0)->status, ==, 0);
	rig->settings.fsfreeze_hook = NULL;
	rig_free(rig);
}

static void test_a_failure_names_it_and_undoes_what_was_tried(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-a", SAY);
	rig_add(rig, "20-b", SAY "test $1 = thaw || { echo no room >&2; exit 3; }\n");
	rig_add(rig, "30-c", SAY);
	g_assert_cmpstr(rig_freeze(rig), ==,
			"hook '20-b' failed to freeze: exit status 3: no room");
	rig_thaw(rig);
	rig_assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	rig_free(rig);
}

static void test_a_failing_thaw_is_told_and_hides_no_other(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-a", SAY);
	rig_add(rig, "20-b", SAY "test $1 = freeze || exit 7\n");
	g_assert_null(rig_freeze(rig));
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING,
			      "*20-b' failed to thaw: exit status 7");
	rig_thaw(rig);
	g_test_assert_expected_messages();
	rig_assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 0)->status, ==, 7);
	g_assert_cmpstr(result_at(sf_hooks_thaws(rig->hooks), 0)->trouble, ==, "exit status 7");
	g_assert_null(result_at(sf_hooks_thaws(rig->hooks), 1)->trouble);
	rig_free(rig);
}

static void test_the_deadline_kills_the_whole_group(void)
{
	Rig *rig = rig_new();
	g_autofree char *text = NULL;

	rig_add(rig, "10-a",
		"test $1 = thaw && exit 0\nsleep 1000 &\n"
		"echo $! >> \"${0%/*}/../said\"\nsleep 1000\n");
	rig_set_timeout(rig, 1);
	g_assert_cmpstr(rig_freeze(rig), ==,
			"hook '10-a' failed to freeze: did not finish within 1 s");
	g_assert_true(g_file_get_contents(rig->said, &text, NULL, NULL));
	pid_t grandchild = (pid_t)atoi(text);
	g_assert_cmpint(grandchild, >, 1);
	while (!is_gone(grandchild))
		g_usleep(2000);
	rig_thaw(rig);
	rig_free(rig);
}

static void test_a_hung_thaw_ends_at_its_deadline(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-a", SAY);
	rig_add(rig, "20-b", SAY "test $1 = freeze || sleep 1000\n");
	rig_set_timeout(rig, 1);
	g_assert_null(rig_freeze(rig));
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING,
			      "*failed to thaw: did not finish*");
	rig_thaw(rig);
	g_test_assert_expected_messages();
	rig_assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 0)->status, ==, -1);
	rig_free(rig);
}

static void test_what_it_leaves_running_is_not_waited_for(void)
{
	Rig *rig = rig_new();

	/* As qemu's mysql script does; the one left behind holds standard output. */
	rig_add(rig, "10-a",
		"test $1 = thaw && { echo end > \"${0%/*}/../fifo\"; exit 0; }\n"
		"mkfifo \"${0%/*}/../fifo\"\n"
		"{ cat \"${0%/*}/../fifo\"; echo gone >> \"${0%/*}/../said\"; } &\n");
	g_assert_null(rig_freeze(rig));
	rig_assert_said(rig, "");
	rig_thaw(rig);
	rig_wait_until_said(rig, "gone;");
	rig_free(rig);
}

static void test_output_is_bounded_and_utf8(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-a",
		"test $1 = thaw && exit 0\nprintf 'b\\377d'\nhead -c 3000000 /dev/zero | tr '\\0' x\nexit 1\n");
	const char *failure = rig_freeze(rig);
	g_assert_true(g_utf8_validate(failure, -1, NULL));
	g_assert_nonnull(strstr(failure, "exit status 1: b\357\277\275dxxx"));
	g_assert_cmpuint(strlen(failure), <, 1100);
	g_assert_cmpuint(strlen(failure), >, 1000);
	rig_thaw(rig);
	rig_free(rig);
}

static void test_nothing_of_the_agents_goes_with_it(void)
{
	Rig *rig = rig_new();
	g_autofree char *text = NULL;

	rig_add(rig, "10-a",
		"{ env | sort; ls -l /proc/self/fd; grep Sig[BI][lg] /proc/self/status;\n"
		"cut -d' ' -f5,6 /proc/$$/stat; echo $$; pwd; umask; } > \"${0%/*}/../said\"\n");
	g_setenv("SECRET_OF_THE_AGENT", "1", TRUE);
	signal(SIGPIPE, SIG_IGN);
	int fd = dup(0); /* not close-on-exec */
	g_assert_null(rig_freeze(rig));
	g_assert_true(g_file_get_contents(rig->said, &text, NULL, NULL));
	g_assert_null(strstr(text, "SECRET"));
	g_assert_nonnull(strstr(text, "SNAPFREEZE_HOOK_TIMEOUT=20\n"));
	g_assert_null(strstr(text, "REHEARSAL"));
	/* 0 and 1, the shell's way to its script for 2, and ls's own 3. */
	g_assert_nonnull(strstr(text, " 0 -> /dev/null"));
	g_assert_null(strstr(text, " 4 -> "));
	g_assert_nonnull(strstr(text, "SigBlk:\t0000000000000000"));
	/* Two are glibc's own (32, 33), which posix_spawn(3) leaves ignored for who comes after. */
	const char *ignored = strstr(text, "SigIgn:\t");
	g_assert_nonnull(ignored);
	g_assert_cmpuint(strtoull(ignored + 8, NULL, 16) & ~0x180000000ull, ==, 0);
	g_assert_nonnull(strstr(text, "\n/\n0022\n"));
	/* Process group and session are its own. */
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint last = g_strv_length(lines) - 4;
	g_autofree char *own = g_strdup_printf("%s %s", lines[last], lines[last]);
	g_assert_cmpstr(lines[last - 1], ==, own);
	close(fd);
	rig_thaw(rig);
	rig_free(rig);
}

static void test_what_cannot_be_run_fails_by_name(void)
{
	Rig *rig = rig_new();
	g_autofree char *path = rig_add_file(rig, "10-a", "", 0755);

	g_assert_true(g_file_set_contents(path, "#!/nowhere/at/all\n", -1, NULL));
	g_assert_cmpint(chmod(path, 0755), ==, 0);
	g_assert_cmpstr(rig_freeze(rig), ==,
			"hook '10-a' failed to freeze: cannot be run: No such file or directory");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*cannot be run*");
	rig_thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void test_stopped_in_the_middle_all_that_began_are_told(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-a", SAY);
	rig_add(rig, "20-b", SAY "test $1 = thaw || sleep 1000\n");
	rig_add(rig, "30-c", SAY);
	g_assert_cmpstr(rig_load(rig), ==, NULL);
	sf_hooks_freeze(rig->hooks, rig_on_done, rig);
	rig_wait_until_said(rig, "10-a freeze;20-b freeze;");
	sf_hooks_stop(rig->hooks);
	g_assert_false(rig->is_done);
	rig_thaw(rig);
	rig_assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	rig_free(rig);
}

static void on_nobody_waits(const GError *error, gpointer user_data)
{
}

/* Another agent's death, as far as hooks can tell: what it had is gone but for the record. */
static void test_the_next_agent_tells_those_of_a_dead_one(void)
{
	Rig *rig = rig_new();

	rig_add(rig, "10-a", SAY);
	rig_add(rig, "20-b", SAY "test $1 = thaw || sleep 1000\n");
	g_assert_cmpstr(rig_load(rig), ==, NULL);
	sf_hooks_freeze(rig->hooks, on_nobody_waits, NULL);
	rig_wait_until_said(rig, "10-a freeze;20-b freeze;");
	pid_t second = (pid_t)rig->record->map->hooks[1].pid;
	g_assert_cmpint(rig->record->map->hooks[0].pid, ==, 0);
	g_assert_cmpint(kill(second, 0), ==, 0);
	SfHooks *dead = rig->hooks;
	rig->hooks = sf_hooks_new(&rig->settings, rig->record, rig_on_lost, rig);
	rig_thaw(rig);
	/* The one that still ran was ended before it was told. */
	g_assert_true(is_gone(second));
	rig_assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	rig_thaw(rig);
	rig_assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	rig->record->map->hooks[0].pid = rig->record->map->hooks[1].pid = 0;
	sf_hooks_free(dead);
	rig_free(rig);
}

static void test_a_process_with_the_same_number_is_left_alone(void)
{
	Rig *rig = rig_new();
	struct sf_record_hook *note = &rig->record->map->hooks[0];
	g_autofree char *path = rig_add_file(rig, "10-a", SAY, 0755);

	g_strlcpy(note->path, path, sizeof(note->path));
	note->pid = (uint32_t)getpid();
	note->start = 1;
	atomic_store(&rig->record->map->hook_count, 1);
	rig_thaw(rig);
	rig_assert_said(rig, "10-a thaw;");
	rig_free(rig);
}

static void test_it_stands_in_the_record_before_it_runs(void)
{
	Rig *rig = rig_new();
	/* Its own pid, as the record's file has it. */
	rig_add(rig, "10-a",
		"test $1 = thaw && exit 0\n"
		"hex=$(printf '%08x' $$ | sed 's/\\(..\\)\\(..\\)\\(..\\)\\(..\\)/\\4\\3\\2\\1/')\n"
		"od -An -v -tx1 \"${0%/*}/../record\" | tr -d ' \\n' | grep -q $hex && "
		"grep -qa \"$0\" \"${0%/*}/../record\"\n");
	g_assert_null(rig_freeze(rig));
	rig_thaw(rig);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	/* As the agent does. */
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/hooks/in-name-order-and-back", test_in_name_order_and_back);
	g_test_add_func("/hooks/a-failure-names-it-and-undoes-what-was-tried",
			test_a_failure_names_it_and_undoes_what_was_tried);
	g_test_add_func("/hooks/a-failing-thaw-is-told-and-hides-no-other",
			test_a_failing_thaw_is_told_and_hides_no_other);
	g_test_add_func("/hooks/the-deadline-kills-the-whole-group",
			test_the_deadline_kills_the_whole_group);
	g_test_add_func("/hooks/a-hung-thaw-ends-at-its-deadline",
			test_a_hung_thaw_ends_at_its_deadline);
	g_test_add_func("/hooks/what-it-leaves-running-is-not-waited-for",
			test_what_it_leaves_running_is_not_waited_for);
	g_test_add_func("/hooks/output-is-bounded-and-utf8", test_output_is_bounded_and_utf8);
	g_test_add_func("/hooks/nothing-of-the-agents-goes-with-it",
			test_nothing_of_the_agents_goes_with_it);
	g_test_add_func("/hooks/what-cannot-be-run-fails-by-name",
			test_what_cannot_be_run_fails_by_name);
	g_test_add_func("/hooks/stopped-in-the-middle-all-that-began-are-told",
			test_stopped_in_the_middle_all_that_began_are_told);
	g_test_add_func("/hooks/the-next-agent-tells-those-of-a-dead-one",
			test_the_next_agent_tells_those_of_a_dead_one);
	g_test_add_func("/hooks/a-process-with-the-same-number-is-left-alone",
			test_a_process_with_the_same_number_is_left_alone);
	g_test_add_func("/hooks/it-stands-in-the-record-before-it-runs",
			test_it_stands_in_the_record_before_it_runs);
	return g_test_run();
}
