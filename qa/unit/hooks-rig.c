/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the folder and the hooks of a test. Called by the tests of hooks. */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "qa/unit/hooks-rig.h"

#define LIMIT_MS 60000

static gboolean on_limit(gpointer user_data)
{
	g_error("the hooks are not done after %d ms", LIMIT_MS);
	return G_SOURCE_REMOVE;
}

void rig_on_done(const GError *error, gpointer user_data)
{
	Rig *rig = user_data;

	rig->is_done = true;
	g_free(rig->failure);
	rig->failure = error ? g_strdup(error->message) : NULL;
	g_main_loop_quit(rig->loop);
}

void rig_on_lost(const char *why, gpointer user_data)
{
	Rig *rig = user_data;

	g_free(rig->loss);
	rig->loss = g_strdup(why);
	g_main_loop_quit(rig->loop);
}

Rig *rig_new(void)
{
	Rig *rig = g_new0(Rig, 1);

	rig->folder = g_dir_make_tmp("sf-hooks-XXXXXX", NULL);
	rig->directory = g_build_filename(rig->folder, "hooks.d", NULL);
	rig->said = g_build_filename(rig->folder, "said", NULL);
	g_assert_cmpint(g_mkdir(rig->directory, 0755), ==, 0);
	rig->settings = (SfHookSettings){.directory = rig->directory, .timeout_s = 20};
	rig->record = sf_record_open(rig->folder, false, NULL);
	rig->hooks = sf_hooks_new(&rig->settings, rig->record, rig_on_lost, rig);
	rig->loop = g_main_loop_new(NULL, FALSE);
	rig->limit = g_timeout_add(LIMIT_MS, on_limit, NULL);
	return rig;
}

void rig_set_timeout(Rig *rig, unsigned int timeout_s)
{
	sf_hooks_free(rig->hooks);
	rig->settings.timeout_s = timeout_s;
	rig->hooks = sf_hooks_new(&rig->settings, rig->record, rig_on_lost, rig);
}

static void remove_tree(const char *path)
{
	char *argv[] = {(char *)"rm", (char *)"-rf", (char *)path, NULL};

	g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
				   NULL, NULL));
}

void rig_free(Rig *rig)
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

char *rig_add_file(const Rig *rig, const char *name, const char *script, int mode)
{
	g_autofree char *path = g_build_filename(rig->directory, name, NULL);
	g_autofree char *text = g_strconcat("#!/bin/sh\n", script, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(chmod(path, (mode_t)mode), ==, 0);
	return g_steal_pointer(&path);
}

void rig_add(const Rig *rig, const char *name, const char *script)
{
	g_free(rig_add_file(rig, name, script, 0755));
}

void rig_wait_until_done(Rig *rig)
{
	while (!rig->is_done)
		g_main_loop_run(rig->loop);
	rig->is_done = false;
}

const char *rig_load(Rig *rig)
{
	g_clear_pointer(&rig->failure, g_free);
	sf_hooks_load(rig->hooks, rig_on_done, rig);
	g_assert_false(rig->is_done);
	rig_wait_until_done(rig);
	return rig->failure;
}

const char *rig_freeze(Rig *rig)
{
	g_assert_cmpstr(rig_load(rig), ==, NULL);
	sf_hooks_freeze(rig->hooks, rig_on_done, rig);
	rig_wait_until_done(rig);
	return rig->failure;
}

void rig_thaw(Rig *rig)
{
	sf_hooks_thaw(rig->hooks, rig_on_done, rig);
	rig_wait_until_done(rig);
	g_assert_false(sf_hooks_are_noted(rig->record));
}

static char *read_said(const Rig *rig)
{
	char *text = NULL;

	if (!g_file_get_contents(rig->said, &text, NULL, NULL))
		text = g_strdup("");
	return g_strdelimit(text, "\n", ';');
}

void rig_assert_said(const Rig *rig, const char *expected)
{
	g_autofree char *text = read_said(rig);

	g_assert_cmpstr(text, ==, expected);
}

void rig_wait_until_said(const Rig *rig, const char *expected)
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
bool is_gone(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;

	return !g_file_get_contents(path, &text, NULL, NULL) || strstr(text, ") Z ");
}

const SfHookResult *result_at(const GPtrArray *results, guint index)
{
	g_assert_cmpuint(index, <, results->len);
	return g_ptr_array_index(results, index);
}
