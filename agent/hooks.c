/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the hooks of a freeze and their processes, one after another. Invariant: a hook stands in
 * the record before its process runs, and until it was told to thaw. Called by session and
 * preparation.
 */
#include "config.h"

#include <string.h>

#include "agent/hooks-private.h"
#include "protocol/error.h"

static void result_free(gpointer data)
{
	SfHookResult *result = data;

	g_free(result->name);
	g_free(result->trouble);
	g_free(result);
}

SfHooks *sf_hooks_new(const SfHookSettings *settings, SfRecord *record, SfHooksLost lost,
		      gpointer user_data)
{
	SfHooks *hooks = g_new0(SfHooks, 1);

	hooks->settings = *settings;
	hooks->record = record;
	hooks->lost = lost;
	hooks->lost_data = user_data;
	hooks->errands = sf_errands_new();
	hooks->loads = g_ptr_array_new_with_free_func(g_free);
	hooks->freezes = g_ptr_array_new_with_free_func(result_free);
	hooks->thaws = g_ptr_array_new_with_free_func(result_free);
	return hooks;
}

void sf_hooks_free(SfHooks *hooks)
{
	if (!hooks)
		return;
	for (guint i = 0; i < SF_RECORD_MAX_HOOKS; i++)
		sf_hook_process_free(hooks->processes[i]);
	sf_hook_process_free(hooks->thawing);
	sf_errands_free(hooks->errands);
	g_ptr_array_unref(hooks->loads);
	g_clear_pointer(&hooks->list, g_ptr_array_unref);
	g_ptr_array_unref(hooks->freezes);
	g_ptr_array_unref(hooks->thaws);
	g_free(hooks);
}

void sf_hooks_forget(SfHooks *hooks)
{
	g_clear_pointer(&hooks->list, g_ptr_array_unref);
	g_ptr_array_set_size(hooks->freezes, 0);
	g_ptr_array_set_size(hooks->thaws, 0);
}

bool sf_hooks_are_loaded(const SfHooks *hooks)
{
	return hooks->list != NULL;
}

guint sf_hooks_count_noted(const SfHooks *hooks)
{
	return atomic_load(&hooks->record->map->hook_count);
}

bool sf_hooks_are_noted(const SfRecord *record)
{
	return atomic_load(&record->map->hook_count) > 0;
}

const GPtrArray *sf_hooks_freezes(const SfHooks *hooks)
{
	return hooks->freezes;
}

const GPtrArray *sf_hooks_thaws(const SfHooks *hooks)
{
	return hooks->thaws;
}

void sf_hooks_finish(SfHooks *hooks, const GError *error)
{
	SfHooksDone done = g_steal_pointer(&hooks->done);

	hooks->phase = SF_HOOKS_IDLE;
	if (done)
		done(error, hooks->user_data);
}

/* As the list names it: qemu-ga's by its path, the others by their file. */
static char *name_of(const SfHooks *hooks, guint index)
{
	const char *path = hooks->record->map->hooks[index].path;
	bool is_whole = !g_strcmp0(path, hooks->settings.fsfreeze_hook);
	g_autofree char *name = is_whole ? g_strdup(path) : g_path_get_basename(path);

	return g_utf8_make_valid(name, -1);
}

void sf_hooks_add_result(SfHooks *hooks, GPtrArray *results, guint index,
			 const SfHookProcess *process, const char *trouble)
{
	SfHookResult *result = g_new0(SfHookResult, 1);

	result->name = name_of(hooks, index);
	result->ms = (uint64_t)(g_get_monotonic_time() - hooks->began_us) / 1000;
	result->status = process ? sf_hook_process_status(process) : -1;
	result->trouble = g_strdup(trouble);
	g_ptr_array_add(results, result);
}

static guint index_of(const SfHooks *hooks, const SfHookProcess *process)
{
	guint index = 0;

	while (hooks->processes[index] != process)
		index++;
	return index;
}

static void freeze_next(SfHooks *hooks);

static void fail(SfHooks *hooks, guint index, const char *trouble)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = name_of(hooks, index);

	sf_throw(&error, "hook '%s' failed to freeze: %s", name, trouble);
	sf_hooks_finish(hooks, error);
}

static void take_step(SfHooks *hooks, SfHookProcess *process)
{
	guint index = index_of(hooks, process);
	g_autofree char *trouble = sf_hook_process_explain(process);

	sf_hooks_add_result(hooks, hooks->freezes, index, process, trouble);
	if (trouble)
		fail(hooks, index, trouble);
	else
		freeze_next(hooks);
}

static void note_loss(SfHooks *hooks, SfHookProcess *process)
{
	g_autofree char *trouble = sf_hook_process_explain(process);
	g_autofree char *name = name_of(hooks, index_of(hooks, process));
	g_autofree char *why = g_strdup_printf("hook '%s' no longer holds: %s", name, trouble);

	hooks->lost(why, hooks->lost_data);
}

static void on_changed(SfHookProcess *process, gpointer user_data)
{
	SfHooks *hooks = user_data;
	bool is_last = index_of(hooks, process) + 1 == sf_hooks_count_noted(hooks);

	if (hooks->phase == SF_HOOKS_THAWING)
		sf_hooks_thaw_changed(hooks, process);
	else if (hooks->phase == SF_HOOKS_FREEZING && is_last)
		take_step(hooks, process);
	else if (sf_hook_process_is_session(process) &&
		 sf_hook_process_state(process) == SF_HOOK_ENDED)
		note_loss(hooks, process);
}

SfHookLaunch sf_hooks_launch(SfHooks *hooks, guint index, const char *word)
{
	struct sf_record_hook *note = &hooks->record->map->hooks[index];

	return (SfHookLaunch){
		.path = note->path,
		.word = word,
		.timeout_s = hooks->settings.timeout_s,
		.rehearse = hooks->settings.rehearse,
		.note = note,
		.changed = on_changed,
		.user_data = hooks,
	};
}

static guint note_hook(SfHooks *hooks, const SfHook *hook)
{
	struct sf_record *map = hooks->record->map;
	guint index = sf_hooks_count_noted(hooks);

	map->hooks[index].pid = 0;
	g_strlcpy(map->hooks[index].path, hook->path, sizeof(map->hooks[index].path));
	atomic_store(&map->hook_count, index + 1);
	return index;
}

static void freeze_next(SfHooks *hooks)
{
	g_autoptr(GError) error = NULL;

	if (hooks->next == hooks->list->len) {
		sf_hooks_finish(hooks, NULL);
		return;
	}
	const SfHook *hook = g_ptr_array_index(hooks->list, hooks->next++);
	guint index = note_hook(hooks, hook);
	SfHookLaunch launch =
		sf_hooks_launch(hooks, index, hook->is_session ? "session" : "freeze");
	hooks->began_us = g_get_monotonic_time();
	hooks->processes[index] = sf_hook_process_start(&launch, &error);
	if (!hooks->processes[index])
		fail(hooks, index, error->message);
}

void sf_hooks_freeze(SfHooks *hooks, SfHooksDone done, gpointer user_data)
{
	hooks->phase = SF_HOOKS_FREEZING;
	hooks->done = done;
	hooks->user_data = user_data;
	freeze_next(hooks);
}

void sf_hooks_stop(SfHooks *hooks)
{
	guint count = sf_hooks_count_noted(hooks);
	bool is_freezing = hooks->phase == SF_HOOKS_FREEZING;

	if (!is_freezing && hooks->phase != SF_HOOKS_LOADING)
		return;
	hooks->phase = SF_HOOKS_IDLE;
	hooks->done = NULL;
	hooks->load = NULL;
	if (!is_freezing)
		return;
	/* A session hook hears "thaw" in a moment; the others hear nothing but a signal. */
	SfHookProcess *process = count > 0 ? hooks->processes[count - 1] : NULL;
	if (process && !sf_hook_process_is_session(process))
		sf_hook_process_kill(process);
}

bool sf_hooks_hold(const SfHooks *hooks)
{
	for (guint i = 0; i < sf_hooks_count_noted(hooks); i++)
		if (hooks->processes[i] && sf_hook_process_is_session(hooks->processes[i]) &&
		    sf_hook_process_is_gone(hooks->processes[i]))
			return false;
	return true;
}
