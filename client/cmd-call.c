/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze call: any command, its arguments from the command line or standard input. Called by
 * main's table. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/format.h"
#include "client/subcommand.h"
#include "protocol/frame.h"

static bool usage_error(GError **error, const char *text)
{
	g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
	return false;
}

/* What no agent would take is not read to its end. */
static char *read_stdin(GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char buffer[65536];
	ssize_t got;

	while ((got = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			usage_error(error, "cannot read the arguments from standard input");
			return NULL;
		}
		g_string_append_len(text, buffer, got);
		if (text->len > sf_frame_default_limits.max_bytes) {
			usage_error(error, "the arguments are too long");
			return NULL;
		}
	}
	if (strlen(text->str) != text->len || !g_utf8_validate(text->str, -1, NULL)) {
		usage_error(error, "the arguments are not text in UTF-8");
		return NULL;
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static JsonObject *parse_arguments(const char *text, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	g_autoptr(GError) reason = NULL;
	JsonNode *root;

	if (!g_utf8_validate(text, -1, NULL)) {
		usage_error(error, "the arguments are not text in UTF-8");
		return NULL;
	}
	if (!json_parser_load_from_data(parser, text, -1, &reason)) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "the arguments are no JSON: %s", reason->message);
		return NULL;
	}
	root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
		usage_error(error, "the arguments must be a JSON object, such as {\"id\": 1}");
		return NULL;
	}
	return json_object_ref(json_node_get_object(root));
}

static bool read_arguments(const char *word, JsonObject **out_arguments, GError **error)
{
	g_autofree char *text = NULL;

	*out_arguments = NULL;
	if (!word)
		return true;
	text = g_str_equal(word, "-") ? read_stdin(error) : g_strdup(word);
	if (!text)
		return false;
	*out_arguments = parse_arguments(text, error);
	return *out_arguments != NULL;
}

/* Indented JSON, line by line: a string in it is as untrusted as any mount point, and json-glib
 * escapes no more of it than JSON demands. Its own backslashes must stay single. */
static void print_pretty(SfInvocation *invocation, JsonNode *node)
{
	g_autofree char *text = json_to_string(node, TRUE);

	for (const char *at = text; *at; at = g_utf8_next_char(at)) {
		g_autofree char *c = g_strndup(at, (size_t)(g_utf8_next_char(at) - at));
		g_autofree char *safe = sf_escape(c, invocation->look.utf8);

		g_string_append(invocation->out, *at == '\n' || *at == '\\' ? c : safe);
	}
	g_string_append_c(invocation->out, '\n');
}

static bool call(SfInvocation *invocation, const char *command, JsonObject *arguments,
		 GError **error)
{
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, error);
	g_autoptr(JsonNode) reply = NULL;

	if (!client)
		return false;
	reply = sf_client_call(client, command, arguments,
			       sf_invocation_wait_ms(invocation, SF_WAIT_LONG_MS), error);
	if (!reply)
		return false;
	if (invocation->json)
		sf_print_json(invocation, reply);
	else
		print_pretty(invocation, reply);
	return true;
}

static bool parse(SfInvocation *invocation, const char *summary, int argc, char **argv,
		  const char **out_command, JsonObject **out_arguments, GError **error)
{
	if (!sf_invocation_parse_command(invocation, "COMMAND [JSON|-]", summary, NULL, &argc,
					 &argv, 2, error))
		return false;
	if (argc < 2)
		return usage_error(error, "which of the agent's commands?");
	if (!g_utf8_validate(argv[1], -1, NULL))
		return usage_error(error, "the command's name is not text in UTF-8");
	*out_command = argv[1];
	return read_arguments(argc > 2 ? argv[2] : NULL, out_arguments, error);
}

SfExit sf_cmd_call(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonObject) arguments = NULL;
	const char *command;

	if (!parse(invocation, summary, argc, argv, &command, &arguments, &error) ||
	    !call(invocation, command, arguments, &error))
		return sf_fail(invocation, error);
	return SF_EXIT_OK;
}
