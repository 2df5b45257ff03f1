/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the shape of requests and replies: what may stand in a request besides "execute", and where
 * the id goes in a reply. Holds no state. Called by the agent's channels and by the client. */
#include "config.h"

#include <string.h>

#include "protocol/error.h"
#include "protocol/message.h"

/* Of an error's text, in bytes; the longest that means something is far below it. */
#define DESCRIPTION_MAX 8192

void sf_request_free(SfRequest *request)
{
	if (!request)
		return;
	g_free(request->command);
	g_clear_pointer(&request->arguments, json_object_unref);
	g_clear_pointer(&request->id, json_node_unref);
	g_free(request);
}

static bool take_member(SfRequest *request, const char *name, JsonNode *value, GError **error)
{
	if (g_str_equal(name, "id"))
		return true;

	if (g_str_equal(name, "execute")) {
		if (json_node_get_value_type(value) != G_TYPE_STRING)
			return sf_throw(error, "QMP input member 'execute' must be a string");
		request->command = json_node_dup_string(value);
		return true;
	}
	if (g_str_equal(name, "arguments")) {
		if (!JSON_NODE_HOLDS_OBJECT(value))
			return sf_throw(error, "QMP input member 'arguments' must be an object");
		request->arguments = json_node_dup_object(value);
		return true;
	}
	return sf_throw(error, "QMP input member '%s' is unexpected", name);
}

static bool take_members(SfRequest *request, JsonObject *object, GError **error)
{
	JsonObjectIter iter;
	const char *name;
	JsonNode *value;

	json_object_iter_init_ordered(&iter, object);
	while (json_object_iter_next_ordered(&iter, &name, &value)) {
		if (!take_member(request, name, value, error))
			return false;
	}
	if (!request->command)
		return sf_throw(error, "QMP input lacks member 'execute'");
	return true;
}

SfRequest *sf_request_parse(const char *text, JsonNode **out_id, GError **error)
{
	g_autoptr(SfRequest) request = g_new0(SfRequest, 1);
	g_autoptr(JsonNode) root = NULL;
	g_autoptr(GError) broken = NULL;
	JsonObject *object;
	JsonNode *id;

	root = json_from_string(text, &broken);
	if (broken) {
		(void)sf_throw(error, "JSON parse error, %s", broken->message);
		return NULL;
	}
	if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
		(void)sf_throw(error, "QMP input must be a JSON object");
		return NULL;
	}
	object = json_node_get_object(root);
	id = json_object_get_member(object, "id");
	request->id = id ? json_node_ref(id) : NULL;
	if (!take_members(request, object, error)) {
		*out_id = g_steal_pointer(&request->id);
		return NULL;
	}
	return g_steal_pointer(&request);
}

static void append_member(GString *out, const char *name, JsonNode *value)
{
	if (out->len > 1)
		g_string_append(out, ", ");
	g_string_append_printf(out, "\"%s\": ", name);
	sf_json_write(out, value);
}

static char *finish(GString *out)
{
	g_string_append(out, "}\n");
	return g_string_free(out, FALSE);
}

char *sf_reply_return(JsonNode *result, JsonNode *id)
{
	GString *out = g_string_new("{");

	if (result)
		append_member(out, "return", result);
	else
		g_string_append(out, "\"return\": {}");
	if (id)
		append_member(out, "id", id);
	return finish(out);
}

char *sf_reply_return_text(const char *result, JsonNode *id)
{
	GString *out = g_string_new("{\"return\": ");

	g_string_append(out, result);
	if (id)
		append_member(out, "id", id);
	return finish(out);
}

static JsonNode *new_string(const char *string)
{
	return json_node_init_string(json_node_alloc(), string);
}

/* An error quotes what the host sent, which may be as long as a message. */
static char *cut_description(const char *message)
{
	g_autofree char *start = NULL;

	if (strlen(message) <= DESCRIPTION_MAX)
		return g_strdup(message);
	start = g_strndup(message, DESCRIPTION_MAX);
	return g_strconcat(start, "...", NULL);
}

char *sf_reply_error(const GError *error, JsonNode *id)
{
	g_autofree char *description = cut_description(error->message);
	g_autoptr(JsonNode) class = new_string(sf_error_class(error));
	g_autoptr(JsonNode) desc = new_string(description);
	GString *out = g_string_new("{");

	if (id)
		append_member(out, "id", id);
	g_string_append(out, id ? ", \"error\": {\"class\": " : "\"error\": {\"class\": ");
	sf_json_write(out, class);
	g_string_append(out, ", \"desc\": ");
	sf_json_write(out, desc);
	g_string_append(out, "}");
	return finish(out);
}

char *sf_request_write(const char *command, JsonObject *arguments)
{
	g_autoptr(JsonNode) execute = new_string(command);
	GString *out = g_string_new("{");

	append_member(out, "execute", execute);
	if (arguments) {
		g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), arguments);
		append_member(out, "arguments", node);
	}
	return finish(out);
}
