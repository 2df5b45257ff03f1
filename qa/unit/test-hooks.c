/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/hooks and what it is made of: order, deadline, refusal, output, sessions, and that whatever
 * was told to freeze is told to thaw. The hooks are real scripts in a folder of the test's own,
 * each of which writes down what it was told.
 */
#include "config.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/hooks.h"
#include "agent/secure-path.h"

#define SAY "echo \"${0##*/} $1\" >> \"${0%/*}/../said\"\n"
#define LIMIT_MS 60000

typedef struct {
	char *folder, *directory, *said;
	SfHookSettings settings;
	SfRecord *record;
	SfHooks *hooks;
	GMainLoop *loop;
	bool is_done;
	char *failure, *loss;
	guint limit;
} Rig;

static gboolean on_limit(gpointer user_data)
{
	g_error("the hooks are not done after %d ms", LIMIT_MS);
	return G_SOURCE_REMOVE;
}

static void on_done(const GError *error, gpointer user_data)
{
	Rig *rig = user_data;

	rig->is_done = true;
	g_free(rig->failure);
	rig->failure = error ? g_strdup(error->message) : NULL;
	g_main_loop_quit(rig->loop);
}

static void on_lost(const char *why, gpointer user_data)
{
	Rig *rig = user_data;

	g_free(rig->loss);
	rig->loss = g_strdup(why);
	g_main_loop_quit(rig->loop);
}

static Rig *rig_new(void)
{
	Rig *rig = g_new0(Rig, 1);

	rig->folder = g_dir_make_tmp("sf-hooks-XXXXXX", NULL);
	rig->directory = g_build_filename(rig->folder, "hooks.d", NULL);
	rig->said = g_build_filename(rig->folder, "said", NULL);
	g_assert_cmpint(g_mkdir(rig->directory, 0755), ==, 0);
	rig->settings = (SfHookSettings){.directory = rig->directory, .timeout_s = 20};
	rig->record = sf_record_open(rig->folder, false, NULL);
	rig->hooks = sf_hooks_new(&rig->settings, rig->record, on_lost, rig);
	rig->loop = g_main_loop_new(NULL, FALSE);
	rig->limit = g_timeout_add(LIMIT_MS, on_limit, NULL);
	return rig;
}

static void set_timeout(Rig *rig, unsigned int timeout_s)
{
	sf_hooks_free(rig->hooks);
	rig->settings.timeout_s = timeout_s;
	rig->hooks = sf_hooks_new(&rig->settings, rig->record, on_lost, rig);
}

static void remove_tree(const char *path)
{
	char *argv[] = {(char *)"rm", (char *)"-rf", (char *)path, NULL};

	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
}

static void rig_free(Rig *rig)
{
	g_source_remove(rig->limit);
	sf_hooks_free(rig->hooks);
	sf_record_close(rig->record);
	remove_tree(rig->folder);
	g_main_loop_unref(rig->loop);
	g_free(rig->folder);
	g_free(rig->directory);
	g_free(rig->said);
	g_free(rig->failure);
	g_free(rig->loss);
	g_free(rig);
}

static char *add_file(const Rig *rig, const char *name, const char *script, int mode)
{
	g_autofree char *path = g_build_filename(rig->directory, name, NULL);
	g_autofree char *text = g_strconcat("#!/bin/sh\n", script, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(chmod(path, (mode_t)mode), ==, 0);
	return g_steal_pointer(&path);
}

static void add(const Rig *rig, const char *name, const char *script)
{
	g_free(add_file(rig, name, script, 0755));
}

static void wait_until_done(Rig *rig)
{
	while (!rig->is_done)
		g_main_loop_run(rig->loop);
	rig->is_done = false;
}

/* Returns: (nullable): the error's text, until the next. */
static const char *load(Rig *rig)
{
	g_clear_pointer(&rig->failure, g_free);
	sf_hooks_load(rig->hooks, on_done, rig);
	g_assert_false(rig->is_done);
	wait_until_done(rig);
	return rig->failure;
}

/* The same. */
static const char *freeze(Rig *rig)
{
	g_assert_cmpstr(load(rig), ==, NULL);
	sf_hooks_freeze(rig->hooks, on_done, rig);
	wait_until_done(rig);
	return rig->failure;
}

static void thaw(Rig *rig)
{
	sf_hooks_thaw(rig->hooks, on_done, rig);
	wait_until_done(rig);
	g_assert_false(sf_hooks_are_noted(rig->record));
}

static char *read_said(const Rig *rig)
{
	char *text = NULL;

	if (!g_file_get_contents(rig->said, &text, NULL, NULL))
		text = g_strdup("");
	return g_strdelimit(text, "\n", ';');
}

static void assert_said(const Rig *rig, const char *expected)
{
	g_autofree char *text = read_said(rig);

	g_assert_cmpstr(text, ==, expected);
}

static void wait_until_said(const Rig *rig, const char *expected)
{
	for (;;) {
		g_autofree char *text = read_said(rig);
		if (!strcmp(text, expected))
			return;
		g_main_context_iteration(NULL, FALSE);
		g_usleep(2000);
	}
}

/* Or waits for whoever has inherited it. */
static bool is_gone(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;

	return !g_file_get_contents(path, &text, NULL, NULL) || strstr(text, ") Z ");
}

static const SfHookResult *result_at(const GPtrArray *results, guint index)
{
	g_assert_cmpuint(index, <, results->len);
	return g_ptr_array_index(results, index);
}

static void test_in_name_order_and_back(void)
{
	Rig *rig = rig_new();
	g_autofree char *first = g_build_filename(rig->folder, "qemu-hook", NULL);

	add(rig, "20-b", SAY);
	add(rig, "10-a", SAY);
	add(rig, "30-c", SAY);
	rig->settings.fsfreeze_hook = first;
	set_timeout(rig, 20);
	/* It says so beside itself. */
	g_assert_true(g_file_set_contents(first,
					  "#!/bin/sh\necho \"qemu $1\" >> \"${0%/*}/said\"\n", -1,
					  NULL));
	g_assert_cmpint(chmod(first, 0755), ==, 0);
	g_assert_null(freeze(rig));
	assert_said(rig, "qemu freeze;10-a freeze;20-b freeze;30-c freeze;");
	thaw(rig);
	assert_said(rig, "qemu freeze;10-a freeze;20-b freeze;30-c freeze;"
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

	add(rig, "10-a", SAY);
	add(rig, "20-b", SAY "test $1 = thaw || { echo no room >&2; exit 3; }\n");
	add(rig, "30-c", SAY);
	g_assert_cmpstr(freeze(rig), ==, "hook '20-b' failed to freeze: exit status 3: no room");
	thaw(rig);
	assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	rig_free(rig);
}

static void test_a_failing_thaw_is_told_and_hides_no_other(void)
{
	Rig *rig = rig_new();

	add(rig, "10-a", SAY);
	add(rig, "20-b", SAY "test $1 = freeze || exit 7\n");
	g_assert_null(freeze(rig));
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING,
			      "*20-b' failed to thaw: exit status 7");
	thaw(rig);
	g_test_assert_expected_messages();
	assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 0)->status, ==, 7);
	g_assert_cmpstr(result_at(sf_hooks_thaws(rig->hooks), 0)->trouble, ==, "exit status 7");
	g_assert_null(result_at(sf_hooks_thaws(rig->hooks), 1)->trouble);
	rig_free(rig);
}

static void test_the_deadline_kills_the_whole_group(void)
{
	Rig *rig = rig_new();
	g_autofree char *text = NULL;

	add(rig, "10-a",
	    "test $1 = thaw && exit 0\nsleep 1000 &\n"
	    "echo $! >> \"${0%/*}/../said\"\nsleep 1000\n");
	set_timeout(rig, 1);
	g_assert_cmpstr(freeze(rig), ==, "hook '10-a' failed to freeze: did not finish within 1 s");
	g_assert_true(g_file_get_contents(rig->said, &text, NULL, NULL));
	pid_t grandchild = (pid_t)atoi(text);
	g_assert_cmpint(grandchild, >, 1);
	while (!is_gone(grandchild))
		g_usleep(2000);
	thaw(rig);
	rig_free(rig);
}

static void test_a_hung_thaw_ends_at_its_deadline(void)
{
	Rig *rig = rig_new();

	add(rig, "10-a", SAY);
	add(rig, "20-b", SAY "test $1 = freeze || sleep 1000\n");
	set_timeout(rig, 1);
	g_assert_null(freeze(rig));
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING,
			      "*failed to thaw: did not finish*");
	thaw(rig);
	g_test_assert_expected_messages();
	assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 0)->status, ==, -1);
	rig_free(rig);
}

static void test_what_it_leaves_running_is_not_waited_for(void)
{
	Rig *rig = rig_new();

	/* As qemu's mysql script does; the one left behind holds standard output. */
	add(rig, "10-a",
	    "test $1 = thaw && { echo end > \"${0%/*}/../fifo\"; exit 0; }\n"
	    "mkfifo \"${0%/*}/../fifo\"\n"
	    "{ cat \"${0%/*}/../fifo\"; echo gone >> \"${0%/*}/../said\"; } &\n");
	g_assert_null(freeze(rig));
	assert_said(rig, "");
	thaw(rig);
	wait_until_said(rig, "gone;");
	rig_free(rig);
}

static void test_output_is_bounded_and_utf8(void)
{
	Rig *rig = rig_new();

	add(rig, "10-a",
	    "test $1 = thaw && exit 0\nprintf 'b\\377d'\nhead -c 3000000 /dev/zero | tr '\\0' x\nexit 1\n");
	const char *failure = freeze(rig);
	g_assert_true(g_utf8_validate(failure, -1, NULL));
	g_assert_nonnull(strstr(failure, "exit status 1: b\357\277\275dxxx"));
	g_assert_cmpuint(strlen(failure), <, 1100);
	g_assert_cmpuint(strlen(failure), >, 1000);
	thaw(rig);
	rig_free(rig);
}

static void test_nothing_of_the_agents_goes_with_it(void)
{
	Rig *rig = rig_new();
	g_autofree char *text = NULL;

	add(rig, "10-a",
	    "{ env | sort; ls -l /proc/self/fd; grep Sig[BI][lg] /proc/self/status;\n"
	    "cut -d' ' -f5,6 /proc/$$/stat; echo $$; pwd; umask; } > \"${0%/*}/../said\"\n");
	g_setenv("SECRET_OF_THE_AGENT", "1", TRUE);
	signal(SIGPIPE, SIG_IGN);
	int fd = dup(0); /* not close-on-exec */
	g_assert_null(freeze(rig));
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
	thaw(rig);
	rig_free(rig);
}

static void test_what_cannot_be_run_fails_by_name(void)
{
	Rig *rig = rig_new();
	g_autofree char *path = add_file(rig, "10-a", "", 0755);

	g_assert_true(g_file_set_contents(path, "#!/nowhere/at/all\n", -1, NULL));
	g_assert_cmpint(chmod(path, 0755), ==, 0);
	g_assert_cmpstr(freeze(rig), ==,
			"hook '10-a' failed to freeze: cannot be run: No such file or directory");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*cannot be run*");
	thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void assert_refused(Rig *rig, const char *why)
{
	const char *text = load(rig);

	g_assert_nonnull(text);
	if (!strstr(text, why))
		g_error("'%s' does not say '%s'", text, why);
	assert_said(rig, "");
}

static void test_insecure_hooks_are_refused_by_name(void)
{
	Rig *rig = rig_new();
	g_autofree char *path = add_file(rig, "20-b", SAY, 0755);
	g_autofree char *other = g_build_filename(rig->folder, "other", NULL);

	add(rig, "10-a", SAY);
	g_assert_cmpstr(load(rig), ==, NULL);
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
	g_assert_cmpstr(load(rig), ==, NULL);
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
		g_free(add_file(rig, names[i], SAY, 0666));
	add(rig, "10-a", SAY);
	g_assert_null(freeze(rig));
	assert_said(rig, "10-a freeze;");
	thaw(rig);
	rig_free(rig);
}

static void test_a_missing_folder_is_no_error_but_a_missing_qemu_hook_is(void)
{
	Rig *rig = rig_new();

	g_assert_cmpint(g_rmdir(rig->directory), ==, 0);
	g_assert_null(freeze(rig));
	thaw(rig);
	rig->settings.directory = "nowhere";
	set_timeout(rig, 20);
	assert_refused(rig, "'nowhere' is no absolute path");
	rig->settings.directory = rig->directory;
	rig->settings.fsfreeze_hook = "/nowhere/at/all";
	set_timeout(rig, 20);
	assert_refused(rig, "hook '/nowhere/at/all' is refused: look at '/nowhere'");
	rig->settings.fsfreeze_hook = NULL;
	rig_free(rig);
}

static void test_more_than_the_record_holds_are_refused(void)
{
	Rig *rig = rig_new();

	for (int i = 0; i < SF_RECORD_MAX_HOOKS; i++) {
		g_autofree char *name = g_strdup_printf("%02d", i);
		add(rig, name, "exit 0\n");
	}
	g_assert_null(freeze(rig));
	thaw(rig);
	add(rig, "zz", "exit 0\n");
	assert_refused(rig, "more than 32 hooks");
	rig_free(rig);
}

/* A session that says what it hears: its line, and the end of file. */
#define SESSION                                                                     \
	SAY "echo frozen\nread line; echo \"heard $line\" >> \"${0%/*}/../said\"\n" \
	    "read line || echo eof >> \"${0%/*}/../said\"\n"

static void test_a_session_holds_until_it_hears_thaw(void)
{
	Rig *rig = rig_new();

	add(rig, "10-db.session", "echo connecting\n" SESSION);
	add(rig, "20-b", SAY);
	g_assert_null(freeze(rig));
	g_assert_true(sf_hooks_hold(rig->hooks));
	assert_said(rig, "10-db.session session;20-b freeze;");
	g_assert_cmpint(result_at(sf_hooks_freezes(rig->hooks), 0)->status, ==, -1);
	g_assert_null(result_at(sf_hooks_freezes(rig->hooks), 0)->trouble);
	thaw(rig);
	assert_said(rig, "10-db.session session;20-b freeze;20-b thaw;heard thaw;eof;");
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 1)->status, ==, 0);
	g_assert_null(rig->loss);
	rig_free(rig);
}

static void test_only_the_whole_line_says_frozen(void)
{
	Rig *rig = rig_new();

	add(rig, "10-db.session", "echo not frozen; echo frozen.; echo frozenfrozen; exit 0\n");
	g_assert_cmpstr(freeze(rig), ==,
			"hook '10-db.session' failed to freeze: ended without saying \"frozen\": "
			"not frozen\nfrozen.\nfrozenfrozen");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*ended without saying*");
	thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void test_a_session_that_never_answers_is_ended(void)
{
	Rig *rig = rig_new();

	add(rig, "10-db.session", SAY "echo waiting; sleep 1000\n");
	set_timeout(rig, 1);
	g_assert_cmpstr(freeze(rig), ==,
			"hook '10-db.session' failed to freeze: did not finish within "
			"1 s: waiting");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*did not finish*");
	thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void test_a_session_that_does_not_end_is_ended(void)
{
	Rig *rig = rig_new();

	add(rig, "10-db.session", SAY "echo frozen; sleep 1000\n");
	set_timeout(rig, 1);
	g_assert_null(freeze(rig));
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*did not finish within 1 s*");
	thaw(rig);
	g_test_assert_expected_messages();
	rig_free(rig);
}

static void test_a_lost_session_is_told(void)
{
	Rig *rig = rig_new();

	add(rig, "10-db.session", "echo frozen; exec 0< \"${0%/*}/../fifo\"; read line; exit 4\n");
	g_autofree char *fifo = g_build_filename(rig->folder, "fifo", NULL);
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	g_assert_null(freeze(rig));
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
	thaw(rig);
	g_test_assert_expected_messages();
	g_assert_cmpint(result_at(sf_hooks_thaws(rig->hooks), 0)->status, ==, 4);
	rig_free(rig);
}

static void test_stopped_in_the_middle_all_that_began_are_told(void)
{
	Rig *rig = rig_new();

	add(rig, "10-a", SAY);
	add(rig, "20-b", SAY "test $1 = thaw || sleep 1000\n");
	add(rig, "30-c", SAY);
	g_assert_cmpstr(load(rig), ==, NULL);
	sf_hooks_freeze(rig->hooks, on_done, rig);
	wait_until_said(rig, "10-a freeze;20-b freeze;");
	sf_hooks_stop(rig->hooks);
	g_assert_false(rig->is_done);
	thaw(rig);
	assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	rig_free(rig);
}

/* Its child ends later, and nobody must hear of it. */
static void test_a_load_that_was_stopped_is_not_heard_of(void)
{
	Rig *rig = rig_new();

	add(rig, "10-a", SAY);
	sf_hooks_load(rig->hooks, on_done, rig);
	sf_hooks_stop(rig->hooks);
	add(rig, "20-b", SAY);
	sf_hooks_load(rig->hooks, on_done, rig);
	wait_until_done(rig);
	g_assert_true(sf_hooks_are_loaded(rig->hooks));
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_false(rig->is_done);
	g_assert_cmpstr(freeze(rig), ==, NULL);
	assert_said(rig, "10-a freeze;20-b freeze;");
	thaw(rig);
	rig_free(rig);
}

static void on_nobody_waits(const GError *error, gpointer user_data)
{
}

/* Another agent's death, as far as hooks can tell: what it had is gone but for the record. */
static void test_the_next_agent_tells_those_of_a_dead_one(void)
{
	Rig *rig = rig_new();

	add(rig, "10-a", SAY);
	add(rig, "20-b", SAY "test $1 = thaw || sleep 1000\n");
	g_assert_cmpstr(load(rig), ==, NULL);
	sf_hooks_freeze(rig->hooks, on_nobody_waits, NULL);
	wait_until_said(rig, "10-a freeze;20-b freeze;");
	pid_t second = (pid_t)rig->record->map->hooks[1].pid;
	g_assert_cmpint(rig->record->map->hooks[0].pid, ==, 0);
	g_assert_cmpint(kill(second, 0), ==, 0);
	SfHooks *dead = rig->hooks;
	rig->hooks = sf_hooks_new(&rig->settings, rig->record, on_lost, rig);
	thaw(rig);
	/* The one that still ran was ended before it was told. */
	g_assert_true(is_gone(second));
	assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	thaw(rig);
	assert_said(rig, "10-a freeze;20-b freeze;20-b thaw;10-a thaw;");
	rig->record->map->hooks[0].pid = rig->record->map->hooks[1].pid = 0;
	sf_hooks_free(dead);
	rig_free(rig);
}

static void test_a_process_with_the_same_number_is_left_alone(void)
{
	Rig *rig = rig_new();
	struct sf_record_hook *note = &rig->record->map->hooks[0];
	g_autofree char *path = add_file(rig, "10-a", SAY, 0755);

	g_strlcpy(note->path, path, sizeof(note->path));
	note->pid = (uint32_t)getpid();
	note->start = 1;
	atomic_store(&rig->record->map->hook_count, 1);
	thaw(rig);
	assert_said(rig, "10-a thaw;");
	rig_free(rig);
}

static void test_it_stands_in_the_record_before_it_runs(void)
{
	Rig *rig = rig_new();
	/* Its own pid, as the record's file has it. */
	add(rig, "10-a",
	    "test $1 = thaw && exit 0\n"
	    "hex=$(printf '%08x' $$ | sed 's/\\(..\\)\\(..\\)\\(..\\)\\(..\\)/\\4\\3\\2\\1/')\n"
	    "od -An -v -tx1 \"${0%/*}/../record\" | tr -d ' \\n' | grep -q $hex && "
	    "grep -qa \"$0\" \"${0%/*}/../record\"\n");
	g_assert_null(freeze(rig));
	thaw(rig);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	/* As the agent does. */
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add_func("/hooks/" path, function)
	ADD("in-name-order-and-back", test_in_name_order_and_back);
	ADD("a-failure-names-it-and-undoes-what-was-tried",
	    test_a_failure_names_it_and_undoes_what_was_tried);
	ADD("a-failing-thaw-is-told-and-hides-no-other",
	    test_a_failing_thaw_is_told_and_hides_no_other);
	ADD("the-deadline-kills-the-whole-group", test_the_deadline_kills_the_whole_group);
	ADD("a-hung-thaw-ends-at-its-deadline", test_a_hung_thaw_ends_at_its_deadline);
	ADD("what-it-leaves-running-is-not-waited-for",
	    test_what_it_leaves_running_is_not_waited_for);
	ADD("output-is-bounded-and-utf8", test_output_is_bounded_and_utf8);
	ADD("nothing-of-the-agents-goes-with-it", test_nothing_of_the_agents_goes_with_it);
	ADD("what-cannot-be-run-fails-by-name", test_what_cannot_be_run_fails_by_name);
	ADD("insecure-hooks-are-refused-by-name", test_insecure_hooks_are_refused_by_name);
	ADD("copies-and-disabled-ones-are-left-out", test_copies_and_disabled_ones_are_left_out);
	ADD("a-missing-folder-is-no-error-but-a-missing-qemu-hook-is",
	    test_a_missing_folder_is_no_error_but_a_missing_qemu_hook_is);
	ADD("more-than-the-record-holds-are-refused", test_more_than_the_record_holds_are_refused);
	ADD("a-session-holds-until-it-hears-thaw", test_a_session_holds_until_it_hears_thaw);
	ADD("only-the-whole-line-says-frozen", test_only_the_whole_line_says_frozen);
	ADD("a-session-that-never-answers-is-ended", test_a_session_that_never_answers_is_ended);
	ADD("a-session-that-does-not-end-is-ended", test_a_session_that_does_not_end_is_ended);
	ADD("a-lost-session-is-told", test_a_lost_session_is_told);
	ADD("stopped-in-the-middle-all-that-began-are-told",
	    test_stopped_in_the_middle_all_that_began_are_told);
	ADD("a-load-that-was-stopped-is-not-heard-of",
	    test_a_load_that_was_stopped_is_not_heard_of);
	ADD("the-next-agent-tells-those-of-a-dead-one",
	    test_the_next_agent_tells_those_of_a_dead_one);
	ADD("a-process-with-the-same-number-is-left-alone",
	    test_a_process_with_the_same_number_is_left_alone);
	ADD("it-stands-in-the-record-before-it-runs", test_it_stands_in_the_record_before_it_runs);
	return g_test_run();
}
