/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hooks' way back: from the last that was told to freeze to the first, each is told to thaw,
 * even where it never answered, where its process is an earlier agent's, or where the one before
 * has failed. Called by session, by way of hooks.h.
 */
#include "config.h"

#include "agent/hooks-private.h"
#include "agent/secure-path.h"

static void thaw_last(SfHooks *hooks);

static void forget_last(SfHooks *hooks, guint index)
{
	g_clear_pointer(&hooks->processes[index], sf_hook_process_free);
	g_clear_pointer(&hooks->thawing, sf_hook_process_free);
	atomic_store(&hooks->record->map->hook_count, index);
}

/* Whatever came of it: it was told, and to tell it twice would help nobody. */
static void end_last(SfHooks *hooks, const SfHookProcess *process, const char *trouble)
{
	guint index = sf_hooks_count_noted(hooks) - 1;

	sf_hooks_add_result(hooks, hooks->thaws, index, process, trouble);
	if (trouble)
		g_warning("hook '%s' failed to thaw: %s", hooks->record->map->hooks[index].path,
			  trouble);
	forget_last(hooks, index);
	thaw_last(hooks);
}

static void end_last_by(SfHooks *hooks, const SfHookProcess *process)
{
	g_autofree char *trouble = sf_hook_process_explain(process);

	end_last(hooks, process, trouble);
}

static void on_thaw_changed(SfHookProcess *process, gpointer user_data)
{
	end_last_by(user_data, process);
}

static void run_thaw(SfHooks *hooks)
{
	guint index = sf_hooks_count_noted(hooks) - 1;
	SfHookLaunch launch = sf_hooks_launch(hooks, index, "thaw");
	g_autoptr(GError) error = NULL;

	launch.changed = on_thaw_changed;
	/* Ours was checked before its freeze, and only root can have changed it since: its path is
	 * not looked at now, when a dead disk may still hold up whoever does. */
	bool is_checked = hooks->processes[index] != NULL;
	if (is_checked || sf_secure_path_check(launch.path, false, &error))
		hooks->thawing = sf_hook_process_start(&launch, &error);
	if (!hooks->thawing)
		end_last(hooks, NULL, error->message);
}

static bool is_running(const SfHookProcess *process)
{
	return process && sf_hook_process_state(process) != SF_HOOK_ENDED;
}

static void thaw_session(SfHooks *hooks, SfHookProcess *process)
{
	if (!process)
		end_last(hooks, NULL, NULL);
	else if (is_running(process))
		sf_hook_process_release(process);
	else
		end_last_by(hooks, process);
}

static void thaw_last(SfHooks *hooks)
{
	guint count = sf_hooks_count_noted(hooks);

	if (count == 0) {
		sf_hooks_finish(hooks, NULL);
		return;
	}
	SfHookProcess **process = &hooks->processes[count - 1];
	bool is_session = sf_hook_is_session(hooks->record->map->hooks[count - 1].path);
	SfHookLaunch launch = sf_hooks_launch(hooks, count - 1, is_session ? "session" : "freeze");
	hooks->began_us = g_get_monotonic_time();
	if (!*process && launch.note->pid != 0)
		*process = sf_hook_process_adopt(&launch);
	if (is_session)
		thaw_session(hooks, *process);
	else if (is_running(*process))
		sf_hook_process_kill(*process); /* two at a time would undo each other's work */
	else
		run_thaw(hooks);
}

void sf_hooks_thaw_changed(SfHooks *hooks, SfHookProcess *process)
{
	guint index = sf_hooks_count_noted(hooks) - 1;

	/* One whose turn has not come is looked at when it has. */
	if (process != hooks->processes[index] || is_running(process))
		return;
	if (sf_hook_process_is_session(process))
		end_last_by(hooks, process);
	else
		run_thaw(hooks);
}

void sf_hooks_thaw(SfHooks *hooks, SfHooksDone done, gpointer user_data)
{
	sf_hooks_stop(hooks);
	hooks->phase = SF_HOOKS_THAWING;
	hooks->done = done;
	hooks->user_data = user_data;
	thaw_last(hooks);
}
