/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the hooks: which there are, in which order, and which of them others than root could
 * change. Holds no state. Called in the child of hooks-load and in that of snapfreeze-plan.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "agent/freezer/record.h"
#include "agent/hook-list.h"
#include "agent/secure-path.h"
#include "protocol/error.h"

/* More are an accident; it bounds what a folder can make us remember. */
#define MAX_NAMES 1024

static void hook_free(gpointer data)
{
	SfHook *hook = data;

	g_free(hook->name);
	g_free(hook->path);
	g_free(hook);
}

SfHook *sf_hook_new(const char *name, const char *path)
{
	SfHook *hook = g_new0(SfHook, 1);

	hook->name = g_utf8_make_valid(name, -1);
	hook->path = g_strdup(path);
	hook->is_session = sf_hook_is_session(path);
	return hook;
}

GPtrArray *sf_hook_list_new(void)
{
	return g_ptr_array_new_with_free_func(hook_free);
}

bool sf_hook_is_session(const char *path)
{
	return g_str_has_suffix(path, ".session");
}

static bool is_left_out(const char *name)
{
	static const char *const suffixes[] = {
		"~",         ".disabled", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp",
		".dpkg-bak", ".ucf-old",  ".ucf-new",  ".ucf-dist", ".rpmsave",   ".rpmnew",
		".rpmorig",  ".bak",      ".orig",     ".swp",      ".sample",
	};

	if (*name == '.')
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
		if (g_str_has_suffix(name, suffixes[i]))
			return true;
	return false;
}

static void refuse(GPtrArray *refused, const char *name, const GError *error)
{
	g_ptr_array_add(refused, g_strdup_printf("hook '%s' is refused: %s", name, error->message));
}

static bool check(const char *path, guint count, GError **error)
{
	if (count == SF_RECORD_MAX_HOOKS)
		return sf_throw(error, "there are more than %d hooks", SF_RECORD_MAX_HOOKS);
	if (strlen(path) >= sizeof(((struct sf_record_hook *)NULL)->path))
		return sf_throw(error, "its path is too long");
	return sf_secure_path_check(path, false, error);
}

static void add(GPtrArray *list, const char *name, const char *path, GPtrArray *refused)
{
	g_autoptr(GError) error = NULL;

	if (!check(path, list->len, &error)) {
		refuse(refused, name, error);
		return;
	}
	g_ptr_array_add(list, sf_hook_new(name, path));
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *read_names(GDir *folder)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	while ((name = g_dir_read_name(folder)) && names->len < MAX_NAMES)
		if (!is_left_out(name))
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare_names);
	return names;
}

static void add_folder(GPtrArray *list, const char *path, GPtrArray *refused)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) folder = NULL;

	/* Taken for missing otherwise, since the agent's working folder is anywhere. */
	if (*path == '/')
		folder = g_dir_open(path, 0, &error);
	if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		return;
	if (error || !sf_secure_path_check(path, true, &error)) {
		refuse(refused, path, error);
		return;
	}
	g_autoptr(GPtrArray) names = read_names(folder);
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *full = g_build_filename(path, name, NULL);
		add(list, name, full, refused);
	}
}

GPtrArray *sf_hook_list_read(const SfHookSettings *settings, GPtrArray *refused)
{
	GPtrArray *list = sf_hook_list_new();

	if (settings->fsfreeze_hook)
		add(list, settings->fsfreeze_hook, settings->fsfreeze_hook, refused);
	if (settings->directory)
		add_folder(list, settings->directory, refused);
	return list;
}
