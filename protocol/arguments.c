/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the arguments of one request once they are checked against what its command declares: what
 * is in the object then is of the declared type, so the getters cannot fail. Called by dispatch
 * (check) and by the commands (getters). */
#include "config.h"

#include "protocol/arguments.h"
#include "protocol/error.h"

struct SfArguments {
	JsonObject *object; /* (nullable): the request has none, and needs none */
};

static bool throw_type(GError **error, const char *name, const char *expected)
{
	return sf_throw(error, "Invalid parameter type for '%s', expected: %s", name, expected);
}

static bool check_scalar(const char *name, JsonNode *node, GType type, const char *expected,
			 GError **error)
{
	if (json_node_get_value_type(node) != type)
		return throw_type(error, name, expected);
	return true;
}

static bool check_enum(const SfArgumentSpec *spec, JsonNode *node, GError **error)
{
	const char *value;

	if (!check_scalar(spec->name, node, G_TYPE_STRING, "string", error))
		return false;
	value = json_node_get_string(node);
	if (!g_strv_contains(spec->values, value))
		return sf_throw(error, "Parameter '%s' does not accept value '%s'", spec->name,
				value);
	return true;
}

static bool check_strings(const char *name, JsonNode *node, GError **error)
{
	JsonArray *array;
	unsigned int len;

	if (!JSON_NODE_HOLDS_ARRAY(node))
		return throw_type(error, name, "array");
	array = json_node_get_array(node);
	len = json_array_get_length(array);
	for (unsigned int i = 0; i < len; i++) {
		JsonNode *element = json_array_get_element(array, i);
		g_autofree char *element_name = NULL;

		if (json_node_get_value_type(element) == G_TYPE_STRING)
			continue;
		element_name = g_strdup_printf("%s[%u]", name, i);
		return throw_type(error, element_name, "string");
	}
	return true;
}

static bool check_value(const SfArgumentSpec *spec, JsonNode *node, GError **error)
{
	switch (spec->type) {
	case SF_ARGUMENT_INTEGER:
		return check_scalar(spec->name, node, G_TYPE_INT64, "integer", error);
	case SF_ARGUMENT_STRING:
		return check_scalar(spec->name, node, G_TYPE_STRING, "string", error);
	case SF_ARGUMENT_BOOLEAN:
		return check_scalar(spec->name, node, G_TYPE_BOOLEAN, "boolean", error);
	case SF_ARGUMENT_STRINGS:
		return check_strings(spec->name, node, error);
	case SF_ARGUMENT_ENUM:
		return check_enum(spec, node, error);
	}
	return sf_throw(error, "Parameter '%s' is unexpected", spec->name);
}

static JsonNode *find(JsonObject *object, const char *name)
{
	return object ? json_object_get_member(object, name) : NULL;
}

static bool check_declared(const SfArgumentSpec *specs, JsonObject *object, GError **error)
{
	for (const SfArgumentSpec *spec = specs; spec && spec->name; spec++) {
		JsonNode *node = find(object, spec->name);

		if (!node && !spec->optional)
			return sf_throw(error, "Parameter '%s' is missing", spec->name);
		if (node && !check_value(spec, node, error))
			return false;
	}
	return true;
}

static bool is_declared(const SfArgumentSpec *specs, const char *name)
{
	for (const SfArgumentSpec *spec = specs; spec && spec->name; spec++) {
		if (g_str_equal(spec->name, name))
			return true;
	}
	return false;
}

static bool check_unexpected(const SfArgumentSpec *specs, JsonObject *object, GError **error)
{
	JsonObjectIter iter;
	const char *name;

	if (!object)
		return true;
	json_object_iter_init_ordered(&iter, object);
	while (json_object_iter_next_ordered(&iter, &name, NULL)) {
		if (!is_declared(specs, name))
			return sf_throw(error, "Parameter '%s' is unexpected", name);
	}
	return true;
}

SfArguments *sf_arguments_parse(const SfArgumentSpec *specs, JsonObject *object, GError **error)
{
	SfArguments *arguments;

	if (!check_declared(specs, object, error) || !check_unexpected(specs, object, error))
		return NULL;

	arguments = g_new0(SfArguments, 1);
	arguments->object = object ? json_object_ref(object) : NULL;
	return arguments;
}

void sf_arguments_free(SfArguments *arguments)
{
	if (!arguments)
		return;
	g_clear_pointer(&arguments->object, json_object_unref);
	g_free(arguments);
}

bool sf_arguments_has(const SfArguments *arguments, const char *name)
{
	return find(arguments->object, name) != NULL;
}

int64_t sf_arguments_get_integer(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find(arguments->object, name);

	return node ? json_node_get_int(node) : 0;
}

bool sf_arguments_get_boolean(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find(arguments->object, name);

	return node && json_node_get_boolean(node);
}

const char *sf_arguments_get_string(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find(arguments->object, name);

	return node ? json_node_get_string(node) : NULL;
}

char **sf_arguments_get_strings(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find(arguments->object, name);
	JsonArray *array = node ? json_node_get_array(node) : NULL;
	unsigned int len;
	char **strings;

	if (!array)
		return NULL;
	len = json_array_get_length(array);
	strings = g_new0(char *, (size_t)len + 1);
	for (unsigned int i = 0; i < len; i++)
		strings[i] = g_strdup(json_array_get_string_element(array, i));
	return strings;
}

static void describe_type(GString *out, const SfArgumentSpec *spec)
{
	g_autofree char *values = NULL;

	switch (spec->type) {
	case SF_ARGUMENT_INTEGER:
		g_string_append(out, "int");
		break;
	case SF_ARGUMENT_STRING:
		g_string_append(out, "string");
		break;
	case SF_ARGUMENT_BOOLEAN:
		g_string_append(out, "bool");
		break;
	case SF_ARGUMENT_STRINGS:
		g_string_append(out, "[string]");
		break;
	case SF_ARGUMENT_ENUM:
		values = g_strjoinv("|", (char **)spec->values);
		g_string_append(out, values);
		break;
	}
}

char *sf_arguments_describe(const SfArgumentSpec *specs)
{
	GString *out = g_string_new(NULL);

	for (const SfArgumentSpec *spec = specs; spec && spec->name; spec++) {
		if (out->len > 0)
			g_string_append(out, ", ");
		g_string_append_printf(out, "%s%s ", spec->name, spec->optional ? "?" : "");
		describe_type(out, spec);
	}
	return g_string_free(out, FALSE);
}
