/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding out which hooks there are, in a short-lived child: their folder may lie on a disk that
 * does not answer, and then other channels are still served. Invariant: a load that was stopped is
 * never heard of again, whenever its child ends. Called by preparation, by way of hooks.h.
 */
#include "config.h"

#include <string.h>

#include "agent/freezer/capabilities.h"
#include "agent/hooks-private.h"
#include "protocol/error.h"

#define TIMEOUT_MS 10000

/* What the child writes: for each hook this and two strings, its name and its path; for each that
 * is refused this and a sentence. All end with a NUL. */
#define MARK_HOOK 'h'
#define MARK_REFUSED 'r'

struct SfHooksLoad {
	SfHooks *hooks;
};

static void write_item(int fd, char mark, const char *first, const char *second)
{
	sf_errand_write(fd, &mark, 1);
	sf_errand_write(fd, first, strlen(first) + 1);
	if (second)
		sf_errand_write(fd, second, strlen(second) + 1);
}

static void list_in_child(int fd, gpointer work_data)
{
	g_autoptr(GPtrArray) refused = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) list = NULL;

	/* Folders of others. */
	sf_capabilities_keep(SF_CAPABILITY(CAP_DAC_READ_SEARCH));
	list = sf_hook_list_read(work_data, refused);
	for (guint i = 0; i < refused->len; i++)
		write_item(fd, MARK_REFUSED, g_ptr_array_index(refused, i), NULL);
	for (guint i = 0; i < list->len; i++) {
		const SfHook *hook = g_ptr_array_index(list, i);
		write_item(fd, MARK_HOOK, hook->name, hook->path);
	}
}

/* (nullable): the string at @at, which then is behind it; %NULL: what is left holds none. */
static const char *take_string(const char **at, const char *end)
{
	const char *text = *at, *nul = memchr(text, '\0', (size_t)(end - text));

	if (nul)
		*at = nul + 1;
	return nul ? text : NULL;
}

/* Returns: false where one is refused, or the output ends in the middle. */
static bool take_output(GPtrArray *list, const GByteArray *output, GError **error)
{
	const char *at = (const char *)output->data, *end = at + output->len;

	while (at < end) {
		char mark = *at++;
		const char *name = take_string(&at, end);
		const char *path = mark == MARK_HOOK && name ? take_string(&at, end) : NULL;
		if (name && mark == MARK_REFUSED)
			return sf_throw(error, "%s", name);
		if (!path)
			return sf_throw(error, "the hooks cannot be listed");
		g_ptr_array_add(list, sf_hook_new(name, path));
	}
	return true;
}

static bool take_list(SfHooks *hooks, const GByteArray *output, bool is_whole, GError **error)
{
	if (!is_whole)
		return sf_throw(error, "the hooks in '%s' were not listed within %u s",
				hooks->settings.directory ?: hooks->settings.fsfreeze_hook,
				TIMEOUT_MS / 1000);
	hooks->list = sf_hook_list_new();
	return take_output(hooks->list, output, error);
}

static void on_listed(const GByteArray *output, bool is_whole, gpointer user_data)
{
	SfHooksLoad *load = user_data;
	SfHooks *hooks = load->hooks;
	bool is_wanted = hooks->load == load;
	g_autoptr(GError) error = NULL;

	g_ptr_array_remove_fast(hooks->loads, load);
	if (!is_wanted)
		return;
	hooks->load = NULL;
	(void)take_list(hooks, output, is_whole, &error);
	sf_hooks_finish(hooks, error);
}

void sf_hooks_load(SfHooks *hooks, SfHooksDone done, gpointer user_data)
{
	sf_hooks_forget(hooks);
	hooks->next = 0;
	hooks->phase = SF_HOOKS_LOADING;
	hooks->done = done;
	hooks->user_data = user_data;
	hooks->load = g_new(SfHooksLoad, 1);
	hooks->load->hooks = hooks;
	g_ptr_array_add(hooks->loads, hooks->load);
	sf_errand_start(hooks->errands, list_in_child, &hooks->settings, TIMEOUT_MS, on_listed,
			hooks->load);
}
