/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/message and protocol/arguments: json-glib reads whatever a frame lets through, what is
 * written of it is pure ASCII in one line, and reads back as the same value. */
#include "config.h"

#include <string.h>

#include "protocol/arguments.h"
#include "protocol/error.h"
#include "protocol/frame.h"
#include "protocol/message.h"
#include "qa/fuzz/fuzz.h"

static const char *const modes[] = {"r", "w", NULL};
static const SfArgumentSpec vcpu[] = {
	{.name = "logical-id", .type = SF_ARGUMENT_INTEGER},
	{.name = "online", .type = SF_ARGUMENT_BOOLEAN, .optional = true},
	{NULL},
};
static const SfArgumentSpec specs[] = {
	{.name = "id", .type = SF_ARGUMENT_INTEGER, .optional = true},
	{.name = "path", .type = SF_ARGUMENT_STRING, .optional = true},
	{.name = "force", .type = SF_ARGUMENT_BOOLEAN, .optional = true},
	{.name = "mountpoints", .type = SF_ARGUMENT_STRINGS, .optional = true},
	{.name = "mode", .type = SF_ARGUMENT_ENUM, .optional = true, .values = modes},
	{.name = "whence", .type = SF_ARGUMENT_INTEGER_OR_ENUM, .optional = true, .values = modes},
	{.name = "vcpus", .type = SF_ARGUMENT_OBJECTS, .optional = true, .members = vcpu},
	{NULL},
};

static bool is_equal(JsonNode *a, JsonNode *b);

static bool is_equal_object(JsonObject *a, JsonObject *b)
{
	JsonObjectIter iter;
	const char *name;
	JsonNode *value;

	if (json_object_get_size(a) != json_object_get_size(b))
		return false;
	json_object_iter_init(&iter, a);
	while (json_object_iter_next(&iter, &name, &value)) {
		JsonNode *other = json_object_get_member(b, name);
		if (!other || !is_equal(value, other))
			return false;
	}
	return true;
}

static bool is_equal_array(JsonArray *a, JsonArray *b)
{
	if (json_array_get_length(a) != json_array_get_length(b))
		return false;
	for (unsigned int i = 0; i < json_array_get_length(a); i++) {
		if (!is_equal(json_array_get_element(a, i), json_array_get_element(b, i)))
			return false;
	}
	return true;
}

/* A whole number that was read as a floating one is written without its point, as QEMU does. */
static bool is_equal_value(JsonNode *a, JsonNode *b)
{
	GType type = json_node_get_value_type(a);

	if (type == G_TYPE_DOUBLE)
		return json_node_get_double(a) == json_node_get_double(b);
	if (type != json_node_get_value_type(b))
		return false;
	if (type == G_TYPE_STRING)
		return g_str_equal(json_node_get_string(a), json_node_get_string(b));
	if (type == G_TYPE_BOOLEAN)
		return json_node_get_boolean(a) == json_node_get_boolean(b);
	return json_node_get_int(a) == json_node_get_int(b);
}

static bool is_equal(JsonNode *a, JsonNode *b)
{
	if (json_node_get_node_type(a) != json_node_get_node_type(b))
		return false;
	switch (json_node_get_node_type(a)) {
	case JSON_NODE_OBJECT:
		return is_equal_object(json_node_get_object(a), json_node_get_object(b));
	case JSON_NODE_ARRAY:
		return is_equal_array(json_node_get_array(a), json_node_get_array(b));
	case JSON_NODE_VALUE:
		return is_equal_value(a, b);
	case JSON_NODE_NULL:
		return true;
	}
	return false;
}

/* What is written is one line of ASCII, and a frame takes it for one message. */
static JsonNode *read_back(const char *line)
{
	const SfFrameLimits limits = {G_MAXSIZE, G_MAXSIZE, G_MAXUINT - 8};
	g_autoptr(SfFrame) frame = sf_frame_new(&limits);
	const uint8_t *data = (const uint8_t *)line;
	size_t len = strlen(line);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	JsonNode *node;

	g_assert_true(g_str_is_ascii(line));
	g_assert_cmpint(sf_frame_next(frame, &data, &len, &text, NULL), ==, SF_FRAME_MESSAGE);
	g_assert_cmpstr((const char *)data, ==, "\n");
	g_assert_null(strchr(text, '\n'));
	node = json_from_string(text, &error);
	g_assert_no_error(error);
	g_assert_nonnull(node);
	return node;
}

static void check_reply(JsonNode *value, JsonNode *id)
{
	g_autofree char *line = sf_reply_return(value, id);
	g_autoptr(JsonNode) reply = read_back(line);
	JsonObject *object = json_node_get_object(reply);

	g_assert_true(is_equal(value, json_object_get_member(object, "return")));
	if (id)
		g_assert_true(is_equal(id, json_object_get_member(object, "id")));
}

static void check_error_reply(const GError *error, JsonNode *id)
{
	g_autofree char *line = sf_reply_error(error, id);
	g_autoptr(JsonNode) reply = read_back(line);
	JsonObject *object = json_node_get_object(reply);

	g_assert_true(json_object_has_member(object, "error"));
	g_assert_cmpint(json_object_has_member(object, "id"), ==, id != NULL);
}

static void check_request(const char *text)
{
	g_autoptr(JsonNode) id = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(SfRequest) request = sf_request_parse(text, &id, &error);
	g_autoptr(SfArguments) arguments = NULL;
	g_autofree char *again = NULL;
	g_autoptr(JsonNode) back = NULL;

	g_assert_true((request == NULL) == (error != NULL));
	if (!request) {
		check_error_reply(error, id);
		return;
	}
	again = sf_request_write(request->command, request->arguments);
	back = read_back(again);
	g_assert_cmpstr(json_object_get_string_member(json_node_get_object(back), "execute"), ==,
			request->command);
	arguments = sf_arguments_parse(specs, request->arguments, &error);
	g_assert_true((arguments == NULL) == (error != NULL));
	if (error)
		check_error_reply(error, request->id);
	else
		g_strfreev(sf_arguments_get_strings(arguments, "mountpoints"));
}

static void check_message(const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) node = json_from_string(text, &error);

	g_assert_true(g_utf8_validate(text, -1, NULL));
	g_assert_no_error(error);
	g_assert_nonnull(node);
	check_reply(node, NULL);
	check_reply(node, node);
	check_request(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	g_autoptr(SfFrame) frame = sf_frame_new(&sf_frame_default_limits);
	SfFrameEvent event;

	do {
		g_autofree char *text = NULL;
		g_autoptr(GError) error = NULL;

		event = sf_frame_next(frame, &data, &len, &text, &error);
		if (event == SF_FRAME_MESSAGE)
			check_message(text);
		if (event == SF_FRAME_ERROR)
			check_error_reply(error, NULL);
	} while (event != SF_FRAME_MORE);
	return 0;
}
