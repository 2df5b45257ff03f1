/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads members of replies without trusting their presence or type: json-glib's own getters warn,
 * which is fatal under test, or convert in silence. The reports of the sub-commands call it. */
#include "config.h"

#include "client/format.h"
#include "client/reply.h"

static JsonNode *member(JsonObject *object, const char *name, JsonNodeType type)
{
	JsonNode *node = object ? json_object_get_member(object, name) : NULL;

	return node && JSON_NODE_TYPE(node) == type ? node : NULL;
}

static JsonNode *value(JsonObject *object, const char *name, GType type)
{
	JsonNode *node = member(object, name, JSON_NODE_VALUE);

	return node && json_node_get_value_type(node) == type ? node : NULL;
}

const char *sf_reply_string(JsonObject *object, const char *name)
{
	JsonNode *node = value(object, name, G_TYPE_STRING);

	return node ? json_node_get_string(node) : NULL;
}

bool sf_reply_integer(JsonObject *object, const char *name, int64_t *out_value)
{
	JsonNode *node = value(object, name, G_TYPE_INT64);

	if (!node)
		return false;
	*out_value = json_node_get_int(node);
	return true;
}

bool sf_reply_number(JsonObject *object, const char *name, double *out_value)
{
	JsonNode *node = value(object, name, G_TYPE_INT64);

	if (!node)
		node = value(object, name, G_TYPE_DOUBLE);
	if (!node)
		return false;
	*out_value = json_node_get_double(node);
	return true;
}

bool sf_reply_is_true(JsonObject *object, const char *name)
{
	JsonNode *node = value(object, name, G_TYPE_BOOLEAN);

	return node && json_node_get_boolean(node);
}

bool sf_reply_is_false(JsonObject *object, const char *name)
{
	JsonNode *node = value(object, name, G_TYPE_BOOLEAN);

	return node && !json_node_get_boolean(node);
}

JsonObject *sf_reply_object(JsonObject *object, const char *name)
{
	JsonNode *node = member(object, name, JSON_NODE_OBJECT);

	return node ? json_node_get_object(node) : NULL;
}

JsonArray *sf_reply_array(JsonObject *object, const char *name)
{
	JsonNode *node = member(object, name, JSON_NODE_ARRAY);

	return node ? json_node_get_array(node) : NULL;
}

JsonObject *sf_reply_root(JsonNode *node)
{
	return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

char *sf_reply_place(JsonObject *filesystem)
{
	const char *mountpoint = sf_reply_string(filesystem, "mountpoint");
	int64_t pid;

	if (!mountpoint)
		return g_strdup("?");
	if (!sf_reply_integer(sf_reply_object(filesystem, "namespace"), "pid", &pid))
		return g_strdup(mountpoint);
	return g_strdup_printf("/proc/%" G_GINT64_FORMAT "/root%s", pid,
			       g_str_equal(mountpoint, "/") ? "" : mountpoint);
}

unsigned int sf_reply_length(JsonArray *array)
{
	return array ? json_array_get_length(array) : 0;
}

JsonObject *sf_reply_object_at(JsonArray *array, unsigned int index)
{
	return sf_reply_root(json_array_get_element(array, index));
}

const char *sf_reply_string_at(JsonArray *array, unsigned int index)
{
	JsonNode *node = json_array_get_element(array, index);

	if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
		return NULL;
	return json_node_get_string(node);
}

char *sf_reply_duration(JsonObject *object, const char *name)
{
	double ms;

	return sf_reply_number(object, name, &ms) ? sf_format_duration(ms) : g_strdup("");
}
