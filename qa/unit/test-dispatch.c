/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/dispatch: profiles, lists, and how long a result may be. */
#include "config.h"

#include <string.h>

#include "agent/dispatch.h"

#define MOST (8 << 20)

/* What the command "long" answers: a string of as many letters. */
static void run_long(SfCall *call, const SfArguments *arguments, gpointer context)
{
	g_autofree char *letters = g_strnfill(*(size_t *)context, 'x');
	g_autofree char *text = g_strconcat("\"", letters, "\"", NULL);

	sf_call_return_text(call, text);
}

static void run_short(SfCall *call, const SfArguments *arguments, gpointer context)
{
	sf_call_return(call, json_node_new(JSON_NODE_NULL));
}

static const SfCommand commands[] = {
	{.name = "small", .run = run_short},
	{.name = "long", .profile = SF_PROFILE_STANDARD, .run = run_long},
	{.name = "large", .profile = SF_PROFILE_FULL, .run = run_short},
	{.name = "thaw", .profile = SF_PROFILE_FULL, .never_blocked = true, .run = run_short},
	{NULL},
};
static const SfArgumentSpec sync_arguments[] = {
	{.name = "id", .type = SF_ARGUMENT_INTEGER},
	{NULL},
};
static const SfCommand delimited_commands[] = {
	{.name = "ready", .delimited = true, .run = run_short},
	{.name = "sync", .arguments = sync_arguments, .delimited = true, .run = run_short},
	{NULL},
};
static const SfCommand *const families[] = {commands, NULL};
static const SfCommand *const delimited_families[] = {delimited_commands, NULL};

static bool is_never_frozen(gpointer context)
{
	return false;
}

static void on_done(GBytes *reply, gpointer user_data)
{
	*(GBytes **)user_data = g_bytes_ref(reply);
}

/* @id: (transfer full) (nullable) */
static char *ask_with_id(SfDispatch *dispatch, const char *command, JsonNode *id)
{
	SfRequest *request = g_new0(SfRequest, 1);
	g_autoptr(GBytes) reply = NULL;
	gsize size;

	request->command = g_strdup(command);
	request->id = id;
	g_assert_null(sf_dispatch_submit(dispatch, "test", request, on_done, &reply));
	const char *data = g_bytes_get_data(reply, &size);
	return g_strndup(data, size);
}

static char *ask(SfDispatch *dispatch, const char *command)
{
	return ask_with_id(dispatch, command, NULL);
}

static void assert_enabled(const SfDispatchSettings *settings, const char *expected)
{
	SfDispatch *dispatch = sf_dispatch_new(families, settings);
	g_autoptr(GString) found = g_string_new(NULL);

	for (const SfCommand *command = commands; command->name; command++) {
		g_autofree char *reply = ask(dispatch, command->name);
		g_autofree char *refusal = g_strdup_printf(
			"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Command %s has "
			"been disabled: the command is not allowed\"}}\n",
			command->name);

		if (sf_dispatch_is_enabled(dispatch, command)) {
			g_assert_true(g_str_has_prefix(reply, "{\"return\": "));
			g_string_append_printf(found, "%s ", command->name);
		} else {
			g_assert_cmpstr(reply, ==, refusal);
		}
	}
	g_assert_cmpstr(found->str, ==, expected);
	sf_dispatch_free(dispatch);
}

static void test_profiles(void)
{
	size_t size = 1;
	SfDispatchSettings settings = {.is_frozen = is_never_frozen, .context = &size};
	const char *block[] = {"small", "thaw", NULL};
	const char *allow[] = {"large", "small", NULL};

	assert_enabled(&settings, "small thaw ");
	settings.profile = SF_PROFILE_STANDARD;
	assert_enabled(&settings, "small long thaw ");
	settings.profile = SF_PROFILE_FULL;
	assert_enabled(&settings, "small long large thaw ");
	settings.block = block;
	assert_enabled(&settings, "long large thaw ");
	/* A list of what is allowed goes before the profile, one of what is not before both. */
	settings.profile = SF_PROFILE_SNAPSHOT;
	settings.allow = allow;
	assert_enabled(&settings, "large thaw ");
}

static void test_length(void)
{
	size_t size = MOST - strlen("{\"return\": \"\"}\n");
	SfDispatchSettings settings = {.profile = SF_PROFILE_STANDARD,
				       .is_frozen = is_never_frozen,
				       .context = &size};
	SfDispatch *dispatch = sf_dispatch_new(families, &settings);
	g_autofree char *fits = ask(dispatch, "long");
	g_autofree char *refusal = NULL;

	g_assert_cmpuint(strlen(fits), ==, MOST);
	g_assert_true(g_str_has_prefix(fits, "{\"return\": \"xx"));
	/* An id is the host's own and does not count. */
	JsonNode *id = json_node_new(JSON_NODE_VALUE);
	json_node_set_string(id, "17");
	g_autofree char *with_id = ask_with_id(dispatch, "long", id);
	g_assert_cmpuint(strlen(with_id), ==, MOST + strlen(", \"id\": \"17\""));
	size++;
	refusal = ask(dispatch, "long");
	g_assert_cmpstr(
		refusal, ==,
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"the result has 8388609 "
		"bytes, more than the 8388608 that a host may be sent\"}}\n");
	sf_dispatch_free(dispatch);
}

/* What follows a 0xFF is the number that the host waits for. */
static void test_delimited(void)
{
	SfDispatchSettings settings = {.is_frozen = is_never_frozen};
	SfDispatch *dispatch = sf_dispatch_new(delimited_families, &settings);
	g_autofree char *result = ask(dispatch, "ready");
	g_autofree char *error = ask(dispatch, "sync");

	g_assert_cmpstr(result, ==, "\xff{\"return\": null}\n");
	g_assert_cmpstr(error, ==,
			"{\"error\": {\"class\": \"GenericError\", \"desc\": "
			"\"Parameter 'id' is missing\"}}\n");
	sf_dispatch_free(dispatch);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dispatch/profiles", test_profiles);
	g_test_add_func("/dispatch/length", test_length);
	g_test_add_func("/dispatch/delimited", test_delimited);
	return g_test_run();
}
