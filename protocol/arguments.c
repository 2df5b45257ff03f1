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

static bool check_object(const char *prefix, const SfArgumentSpec *specs, JsonObject *object,
			 GError **error);

static bool throw_type(GError **error, const char *name, const char *expected)
{
	return sf_throw(error, "Invalid parameter type for '%s', expected: %s", name, expected);
}

/* The type of a single value; of an array, an object or null, another one than any asked for. */
static bool has_type(JsonNode *node, GType type)
{
	return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

static bool check_scalar(const char *name, JsonNode *node, GType type, const char *expected,
			 GError **error)
{
	return has_type(node, type) || throw_type(error, name, expected);
}

static bool check_enum(const char *name, JsonNode *node, const char *const *values,
		       const char *expected, GError **error)
{
	if (!has_type(node, G_TYPE_STRING))
		return throw_type(error, name, expected);
	if (!g_strv_contains(values, json_node_get_string(node)))
		return sf_throw(error, "Parameter '%s' does not accept value '%s'", name,
				json_node_get_string(node));
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
		g_autofree char *element_name = NULL;

		if (has_type(json_array_get_element(array, i), G_TYPE_STRING))
			continue;
		element_name = g_strdup_printf("%s[%u]", name, i);
		return throw_type(error, element_name, "string");
	}
	return true;
}

static bool check_objects(const char *name, JsonNode *node, const SfArgumentSpec *members,
			  GError **error)
{
	JsonArray *array;
	unsigned int len;

	if (!JSON_NODE_HOLDS_ARRAY(node))
		return throw_type(error, name, "array");
	array = json_node_get_array(node);
	len = json_array_get_length(array);
	for (unsigned int i = 0; i < len; i++) {
		JsonNode *element = json_array_get_element(array, i);
		g_autofree char *element_name = g_strdup_printf("%s[%u]", name, i);
		g_autofree char *prefix = g_strconcat(element_name, ".", NULL);

		if (!JSON_NODE_HOLDS_OBJECT(element))
			return throw_type(error, element_name, "object");
		if (!check_object(prefix, members, json_node_get_object(element), error))
			return false;
	}
	return true;
}

static bool check_value(const char *name, const SfArgumentSpec *spec, JsonNode *node,
			GError **error)
{
	switch (spec->type) {
	case SF_ARGUMENT_INTEGER:
		return check_scalar(name, node, G_TYPE_INT64, "integer", error);
	case SF_ARGUMENT_STRING:
		return check_scalar(name, node, G_TYPE_STRING, "string", error);
	case SF_ARGUMENT_BOOLEAN:
		return check_scalar(name, node, G_TYPE_BOOLEAN, "boolean", error);
	case SF_ARGUMENT_STRINGS:
		return check_strings(name, node, error);
	case SF_ARGUMENT_ENUM:
		return check_enum(name, node, spec->values, "string", error);
	case SF_ARGUMENT_INTEGER_OR_ENUM:
		/* A number that is none of the right kind is still a number. */
		return has_type(node, G_TYPE_INT64) ||
		       check_enum(name, node, spec->values,
				  spec->alternate && !has_type(node, G_TYPE_DOUBLE)
					  ? spec->alternate
					  : "integer",
				  error);
	case SF_ARGUMENT_BOOLEAN_OR_ENUM:
		return has_type(node, G_TYPE_BOOLEAN) ||
		       check_enum(name, node, spec->values, "boolean", error);
	case SF_ARGUMENT_OBJECTS:
		return check_objects(name, node, spec->members, error);
	}
	return sf_throw(error, "Parameter '%s' is unexpected", name);
}

static JsonNode *find(JsonObject *object, const char *name)
{
	return object ? json_object_get_member(object, name) : NULL;
}

static bool check_declared(const char *prefix, const SfArgumentSpec *spec, JsonObject *object,
			   GError **error)
{
	JsonNode *node = find(object, spec->name);
	g_autofree char *name = NULL;

	if (!node && spec->optional)
		return true;
	name = g_strconcat(prefix, spec->name, NULL);
	if (!node)
		return sf_throw(error, "Parameter '%s' is missing", name);
	return check_value(name, spec, node, error);
}

static bool is_declared(const SfArgumentSpec *specs, const char *name)
{
	for (const SfArgumentSpec *spec = specs; spec && spec->name; spec++) {
		if (g_str_equal(spec->name, name))
			return true;
	}
	return false;
}

static bool check_unexpected(const char *prefix, const SfArgumentSpec *specs, JsonObject *object,
			     GError **error)
{
	JsonObjectIter iter;
	const char *name;

	if (!object)
		return true;
	json_object_iter_init_ordered(&iter, object);
	while (json_object_iter_next_ordered(&iter, &name, NULL)) {
		if (!is_declared(specs, name))
			return sf_throw(error, "Parameter '%s%s' is unexpected", prefix, name);
	}
	return true;
}

/* @prefix: what stands before a member's name in an error, such as "vcpus[0]." */
static bool check_object(const char *prefix, const SfArgumentSpec *specs, JsonObject *object,
			 GError **error)
{
	for (const SfArgumentSpec *spec = specs; spec && spec->name; spec++) {
		if (!check_declared(prefix, spec, object, error))
			return false;
	}
	return check_unexpected(prefix, specs, object, error);
}

static SfArguments *new_arguments(JsonObject *object)
{
	SfArguments *arguments = g_new0(SfArguments, 1);

	arguments->object = object ? json_object_ref(object) : NULL;
	return arguments;
}

SfArguments *sf_arguments_parse(const SfArgumentSpec *specs, JsonObject *object, GError **error)
{
	return check_object("", specs, object, error) ? new_arguments(object) : NULL;
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

/* Returns: (nullable): an argument that was given and is of this type */
static JsonNode *find_typed(const SfArguments *arguments, const char *name, GType type)
{
	JsonNode *node = find(arguments->object, name);

	return node && has_type(node, type) ? node : NULL;
}

static JsonArray *find_array(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find(arguments->object, name);

	return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

int64_t sf_arguments_get_integer(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find_typed(arguments, name, G_TYPE_INT64);

	return node ? json_node_get_int(node) : 0;
}

bool sf_arguments_get_boolean(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find_typed(arguments, name, G_TYPE_BOOLEAN);

	return node && json_node_get_boolean(node);
}

const char *sf_arguments_get_string(const SfArguments *arguments, const char *name)
{
	JsonNode *node = find_typed(arguments, name, G_TYPE_STRING);

	return node ? json_node_get_string(node) : NULL;
}

char **sf_arguments_get_strings(const SfArguments *arguments, const char *name)
{
	JsonArray *array = find_array(arguments, name);
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

unsigned int sf_arguments_count_objects(const SfArguments *arguments, const char *name)
{
	JsonArray *array = find_array(arguments, name);

	return array ? json_array_get_length(array) : 0;
}

SfArguments *sf_arguments_get_object(const SfArguments *arguments, const char *name,
				     unsigned int index)
{
	return new_arguments(json_array_get_object_element(find_array(arguments, name), index));
}

static void append_specs(GString *out, const SfArgumentSpec *specs);

static void append_type(GString *out, const SfArgumentSpec *spec)
{
	g_autofree char *values = spec->values ? g_strjoinv("|", (char **)spec->values) : NULL;

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
		g_string_append(out, values);
		break;
	case SF_ARGUMENT_INTEGER_OR_ENUM:
		g_string_append_printf(out, "int|%s", values);
		break;
	case SF_ARGUMENT_BOOLEAN_OR_ENUM:
		g_string_append_printf(out, "bool|%s", values);
		break;
	case SF_ARGUMENT_OBJECTS:
		g_string_append(out, "[{");
		append_specs(out, spec->members);
		g_string_append(out, "}]");
		break;
	}
}

static void append_specs(GString *out, const SfArgumentSpec *specs)
{
	for (const SfArgumentSpec *spec = specs; spec && spec->name; spec++) {
		g_string_append_printf(out, "%s%s%s ", spec == specs ? "" : ", ", spec->name,
				       spec->optional ? "?" : "");
		append_type(out, spec);
	}
}

char *sf_arguments_describe(const SfArgumentSpec *specs)
{
	GString *out = g_string_new(NULL);

	append_specs(out, specs);
	return g_string_free(out, FALSE);
}
