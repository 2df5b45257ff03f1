/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns one connection to an agent, and whether it is in step: whether the next line that comes is
 * the answer to the next command. A late reply taken for another command's could call a freeze a
 * success, so a connection out of step answers nothing until it is synced. The guest is not
 * trusted: its replies go through the same checks as requests do. Called by the `snapfreeze`
 * command. */
#include "config.h"

#include <string.h>

#include "protocol/client.h"
#include "protocol/lines.h"
#include "protocol/message.h"

#define REPLY_MAX (64 * 1024 * 1024)
/* The reply to guest-sync-delimited; what is longer is none. */
#define SYNC_REPLY_MAX 4096

static const SfFrameLimits reply_limits = {
	.max_bytes = REPLY_MAX,
	.max_tokens = 8 * 1024 * 1024,
	.max_depth = 1024,
};

struct SfClient {
	SfLines lines;
	bool is_out_of_step;
};

GQuark sf_client_error_quark(void)
{
	return g_quark_from_static_string("sf-client-error-quark");
}

static bool throw_client(GError **error, SfClientErrorCode code, const char *message)
{
	g_set_error_literal(error, SF_CLIENT_ERROR, code, message);
	return false;
}

SfClient *sf_client_connect(const char *address, unsigned int timeout_ms, GError **error)
{
	g_autofree SfClient *client = g_new0(SfClient, 1);

	if (!sf_lines_open(&client->lines, address, "the agent", &reply_limits,
			   sf_deadline_after(timeout_ms), error))
		return NULL;
	return g_steal_pointer(&client);
}

void sf_client_free(SfClient *client)
{
	if (!client)
		return;
	sf_lines_close(&client->lines);
	g_free(client);
}

static bool is_sync_reply(JsonObject *reply, int64_t id)
{
	JsonNode *result = json_object_get_member(reply, "return");

	return result && json_node_get_value_type(result) == G_TYPE_INT64 &&
	       json_node_get_int(result) == id;
}

/* Whether the answer to guest-sync-delimited has come. What cannot become one is dropped, so that
 * garbage without end takes time and no memory. */
static bool find_sync_reply(SfClient *client, int64_t id)
{
	for (;;) {
		const GByteArray *input = client->lines.input;
		const uint8_t *mark = input->len > 0 ? memchr(input->data, 0xFF, input->len) : NULL;
		const uint8_t *end;

		sf_lines_drop(&client->lines, mark ? (size_t)(mark - input->data) : input->len);
		end = sf_lines_find_end(&client->lines);
		if (end) {
			g_autoptr(JsonObject) reply = sf_lines_take(&client->lines, end);
			if (reply && is_sync_reply(reply, id))
				return true;
			continue;
		}
		if (input->len <= SYNC_REPLY_MAX)
			return false;
		sf_lines_drop(&client->lines, 1);
	}
}

bool sf_client_sync(SfClient *client, unsigned int timeout_ms, GError **error)
{
	int64_t deadline_us = sf_deadline_after(timeout_ms);
	/* Not the id of somebody whose answer is still on its way. */
	int64_t id = (int64_t)g_random_int() << 20 | (g_get_real_time() & 0xFFFFF);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autofree char *request = NULL;

	json_object_set_int_member(arguments, "id", id);
	request = sf_request_write("guest-sync-delimited", arguments);

	client->is_out_of_step = true;
	sf_lines_drop(&client->lines, client->lines.input->len);
	if (!sf_lines_write(&client->lines, "\xFF", 1, deadline_us, error) ||
	    !sf_lines_write(&client->lines, request, strlen(request), deadline_us, error))
		return false;
	while (!find_sync_reply(client, id)) {
		if (!sf_lines_read(&client->lines, deadline_us, error))
			return false;
	}
	client->is_out_of_step = false;
	return true;
}

static const char *get_text(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
								       : NULL;
}

/* The guest's words go to somebody's terminal: nothing in them may steer it. */
static char *make_printable(const char *text)
{
	GString *out = g_string_new(NULL);

	for (; *text; text = g_utf8_next_char(text)) {
		gunichar code = g_utf8_get_char(text);
		g_string_append_unichar(out, g_unichar_iscntrl(code) ? '?' : code);
	}
	return g_string_free(out, FALSE);
}

/* An error reply is in step: the next line belongs to the next command. */
static bool refuse(JsonNode *node, GError **error)
{
	JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
	const char *class = object ? get_text(object, "class") : NULL;
	const char *desc = object ? get_text(object, "desc") : NULL;
	g_autofree char *message = NULL;
	g_autofree char *printable = NULL;

	if (!class || !desc)
		return throw_client(error, SF_CLIENT_ERROR_PROTOCOL,
				    "the reply's error has no class or no description");
	message = g_strdup_printf("%s: %s", class, desc);
	printable = make_printable(message);
	throw_client(error, SF_CLIENT_ERROR_REFUSED, printable);
	return true;
}

static JsonNode *call(SfClient *client, const char *request, int64_t deadline_us, GError **error)
{
	g_autoptr(JsonObject) reply = NULL;
	JsonNode *result;

	if (!sf_lines_write(&client->lines, request, strlen(request), deadline_us, error))
		return NULL;
	reply = sf_lines_next(&client->lines, deadline_us, error);
	if (!reply)
		return NULL;

	result = json_object_get_member(reply, "return");
	if (result) {
		client->is_out_of_step = false;
		return json_node_ref(result);
	}
	if (json_object_has_member(reply, "error"))
		client->is_out_of_step = !refuse(json_object_get_member(reply, "error"), error);
	else
		throw_client(error, SF_CLIENT_ERROR_PROTOCOL,
			     "the reply has neither a return nor an error");
	return NULL;
}

/* What is there before a command was sent cannot be its answer. A closed connection is not meant:
 * writing to it tells that better. */
static bool has_unasked(const SfClient *client)
{
	return client->lines.input->len > 0 || sf_lines_has_more(&client->lines);
}

JsonNode *sf_client_call(SfClient *client, const char *command, JsonObject *arguments,
			 unsigned int timeout_ms, GError **error)
{
	g_autofree char *request = sf_request_write(command, arguments);

	if (client->is_out_of_step || has_unasked(client)) {
		client->is_out_of_step = true;
		throw_client(error, SF_CLIENT_ERROR_PROTOCOL,
			     "the connection is out of step and must be synced");
		return NULL;
	}
	client->is_out_of_step = true;
	return call(client, request, sf_deadline_after(timeout_ms), error);
}
