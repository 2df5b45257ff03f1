/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/arguments: what each type takes and refuses, in the wire's words. */
#include "config.h"

#include <string.h>

#include "protocol/arguments.h"
#include "protocol/error.h"
#include "protocol/frame.h"

static const char *const modes[] = {"read", "write", NULL};
static const char *const whences[] = {"set", "cur", NULL};
static const char *const captures[] = {"none", "merged", NULL};
static const SfArgumentSpec vcpu[] = {
	{.name = "logical-id", .type = SF_ARGUMENT_INTEGER},
	{.name = "online", .type = SF_ARGUMENT_BOOLEAN, .optional = true},
	{NULL},
};
static const SfArgumentSpec specs[] = {
	{.name = "id", .type = SF_ARGUMENT_INTEGER},
	{.name = "path", .type = SF_ARGUMENT_STRING, .optional = true},
	{.name = "force", .type = SF_ARGUMENT_BOOLEAN, .optional = true},
	{.name = "names", .type = SF_ARGUMENT_STRINGS, .optional = true},
	{.name = "mode", .type = SF_ARGUMENT_ENUM, .optional = true, .values = modes},
	{.name = "whence",
	 .type = SF_ARGUMENT_INTEGER_OR_ENUM,
	 .optional = true,
	 .values = whences},
	{.name = "named",
	 .type = SF_ARGUMENT_INTEGER_OR_ENUM,
	 .optional = true,
	 .values = whences,
	 .alternate = "FileWhence"},
	{.name = "capture",
	 .type = SF_ARGUMENT_BOOLEAN_OR_ENUM,
	 .optional = true,
	 .values = captures},
	{.name = "vcpus", .type = SF_ARGUMENT_OBJECTS, .optional = true, .members = vcpu},
	{NULL},
};

#define TYPE(name, expected) "Invalid parameter type for '" name "', expected: " expected

static const struct {
	const char *json, *error;
} cases[] = {
	{"{\"id\":1}", NULL},
	{"{\"id\":-9223372036854775808}", NULL},
	{"{\"id\":9223372036854775807}", NULL},
	{"{\"id\":1,\"path\":\"\",\"force\":false,\"names\":[],\"mode\":\"write\"}", NULL},
	{"{}", "Parameter 'id' is missing"},
	{"{\"other\":1}", "Parameter 'id' is missing"},
	{"{\"id\":1,\"other\":1}", "Parameter 'other' is unexpected"},
	{"{\"id\":1,\"ID\":1}", "Parameter 'ID' is unexpected"},
	{"{\"id\":1.0}", TYPE("id", "integer")},
	{"{\"id\":\"5\"}", TYPE("id", "integer")},
	{"{\"id\":9223372036854775808}", TYPE("id", "integer")},
	{"{\"id\":18446744073709551615}", TYPE("id", "integer")},
	{"{\"id\":-9223372036854775809}", TYPE("id", "integer")},
	{"{\"id\":1e2}", TYPE("id", "integer")},
	{"{\"id\":true}", TYPE("id", "integer")},
	{"{\"id\":null}", TYPE("id", "integer")},
	{"{\"id\":[1]}", TYPE("id", "integer")},
	{"{\"id\":{}}", TYPE("id", "integer")},
	{"{\"id\":1,\"path\":1}", TYPE("path", "string")},
	{"{\"id\":1,\"path\":null}", TYPE("path", "string")},
	{"{\"id\":1,\"path\":[\"x\"]}", TYPE("path", "string")},
	{"{\"id\":1,\"force\":1}", TYPE("force", "boolean")},
	{"{\"id\":1,\"force\":\"true\"}", TYPE("force", "boolean")},
	{"{\"id\":1,\"names\":\"x\"}", TYPE("names", "array")},
	{"{\"id\":1,\"names\":{}}", TYPE("names", "array")},
	{"{\"id\":1,\"names\":[\"x\",1]}", TYPE("names[1]", "string")},
	{"{\"id\":1,\"names\":[null]}", TYPE("names[0]", "string")},
	{"{\"id\":1,\"mode\":1}", TYPE("mode", "string")},
	{"{\"id\":1,\"mode\":\"append\"}", "Parameter 'mode' does not accept value 'append'"},
	{"{\"id\":1,\"mode\":\"Read\"}", "Parameter 'mode' does not accept value 'Read'"},
	{"{\"id\":1,\"whence\":7,\"capture\":true}", NULL},
	{"{\"id\":1,\"whence\":\"cur\",\"capture\":\"none\"}", NULL},
	{"{\"id\":1,\"whence\":\"x\"}", "Parameter 'whence' does not accept value 'x'"},
	{"{\"id\":1,\"whence\":1.5}", TYPE("whence", "integer")},
	{"{\"id\":1,\"whence\":true}", TYPE("whence", "integer")},
	{"{\"id\":1,\"named\":true}", TYPE("named", "FileWhence")},
	{"{\"id\":1,\"named\":1.5}", TYPE("named", "integer")},
	{"{\"id\":1,\"named\":\"x\"}", "Parameter 'named' does not accept value 'x'"},
	{"{\"id\":1,\"capture\":\"x\"}", "Parameter 'capture' does not accept value 'x'"},
	{"{\"id\":1,\"capture\":1}", TYPE("capture", "boolean")},
	{"{\"id\":1,\"capture\":null}", TYPE("capture", "boolean")},
	{"{\"id\":1,\"vcpus\":[]}", NULL},
	{"{\"id\":1,\"vcpus\":[{\"logical-id\":0},{\"logical-id\":1,\"online\":true}]}", NULL},
	{"{\"id\":1,\"vcpus\":{}}", TYPE("vcpus", "array")},
	{"{\"id\":1,\"vcpus\":[1]}", TYPE("vcpus[0]", "object")},
	{"{\"id\":1,\"vcpus\":[{}]}", "Parameter 'vcpus[0].logical-id' is missing"},
	{"{\"id\":1,\"vcpus\":[{\"logical-id\":0},{\"logical-id\":\"1\"}]}",
	 TYPE("vcpus[1].logical-id", "integer")},
	{"{\"id\":1,\"vcpus\":[{\"logical-id\":0,\"x\":1}]}",
	 "Parameter 'vcpus[0].x' is unexpected"},
};

/* By the way that a request takes: the frame decides which numbers are integers. */
static JsonObject *parse_object(const char *json)
{
	g_autoptr(SfFrame) frame = sf_frame_new(&sf_frame_default_limits);
	const uint8_t *data = (const uint8_t *)json;
	size_t len = strlen(json);
	g_autofree char *text = NULL;
	g_autoptr(JsonNode) node = NULL;

	g_assert_cmpint(sf_frame_next(frame, &data, &len, &text, NULL), ==, SF_FRAME_MESSAGE);
	node = json_from_string(text, NULL);
	return json_node_dup_object(node);
}

static void test_check(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(JsonObject) object = parse_object(cases[i].json);
		g_autoptr(GError) error = NULL;
		g_autoptr(SfArguments) arguments = sf_arguments_parse(specs, object, &error);

		g_test_message("%s", cases[i].json);
		g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].error);
		g_assert_true((arguments == NULL) == (error != NULL));
		if (error)
			g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
	}
}

static void test_without_object(void)
{
	g_autoptr(GError) missing = NULL;
	g_autoptr(GError) unexpected = NULL;
	g_autoptr(JsonObject) object = parse_object("{\"a\":1}");
	g_autoptr(JsonObject) empty = parse_object("{}");
	g_autoptr(SfArguments) none = sf_arguments_parse(NULL, NULL, NULL);
	g_autoptr(SfArguments) of_empty = sf_arguments_parse(NULL, empty, NULL);

	g_assert_nonnull(none);
	g_assert_false(sf_arguments_has(none, "a"));
	g_assert_nonnull(of_empty);
	g_assert_null(sf_arguments_parse(specs, NULL, &missing));
	g_assert_cmpstr(missing->message, ==, "Parameter 'id' is missing");
	g_assert_null(sf_arguments_parse(NULL, object, &unexpected));
	g_assert_cmpstr(unexpected->message, ==, "Parameter 'a' is unexpected");
}

static void test_get(void)
{
	g_autoptr(JsonObject) object =
		parse_object("{\"id\":9223372036854775807,\"path\":\"/x\",\"force\":true,"
			     "\"names\":[\"a\",\"b\"],\"mode\":\"read\"}");
	g_autoptr(SfArguments) arguments = sf_arguments_parse(specs, object, NULL);
	g_auto(GStrv) names = NULL;

	/* The arguments hold what they need of the request. */
	g_clear_pointer(&object, json_object_unref);
	names = sf_arguments_get_strings(arguments, "names");
	g_assert_true(sf_arguments_has(arguments, "id"));
	g_assert_cmpint(sf_arguments_get_integer(arguments, "id"), ==, G_MAXINT64);
	g_assert_cmpstr(sf_arguments_get_string(arguments, "path"), ==, "/x");
	g_assert_true(sf_arguments_get_boolean(arguments, "force"));
	g_assert_cmpstr(sf_arguments_get_string(arguments, "mode"), ==, "read");
	g_assert_cmpstr(names[0], ==, "a");
	g_assert_cmpstr(names[1], ==, "b");
	g_assert_null(names[2]);
}

static void test_get_what_was_not_given(void)
{
	g_autoptr(JsonObject) object = parse_object("{\"id\":5}");
	g_autoptr(SfArguments) arguments = sf_arguments_parse(specs, object, NULL);

	g_assert_false(sf_arguments_has(arguments, "path"));
	g_assert_null(sf_arguments_get_string(arguments, "path"));
	g_assert_false(sf_arguments_get_boolean(arguments, "force"));
	g_assert_null(sf_arguments_get_strings(arguments, "names"));
	g_assert_cmpint(sf_arguments_get_integer(arguments, "other"), ==, 0);
}

/* An empty list is not the same as none: it freezes nothing, none freezes all. */
static void test_empty_list(void)
{
	g_autoptr(JsonObject) object = parse_object("{\"id\":5,\"names\":[]}");
	g_autoptr(SfArguments) arguments = sf_arguments_parse(specs, object, NULL);
	g_auto(GStrv) names = sf_arguments_get_strings(arguments, "names");

	g_assert_nonnull(names);
	g_assert_null(names[0]);
}

static void test_get_alternate(void)
{
	g_autoptr(JsonObject) numbers = parse_object("{\"id\":5,\"whence\":2,\"capture\":true}");
	g_autoptr(JsonObject) names =
		parse_object("{\"id\":5,\"whence\":\"set\",\"capture\":\"none\"}");
	g_autoptr(SfArguments) by_number = sf_arguments_parse(specs, numbers, NULL);
	g_autoptr(SfArguments) by_name = sf_arguments_parse(specs, names, NULL);

	g_assert_null(sf_arguments_get_string(by_number, "whence"));
	g_assert_cmpint(sf_arguments_get_integer(by_number, "whence"), ==, 2);
	g_assert_null(sf_arguments_get_string(by_number, "capture"));
	g_assert_true(sf_arguments_get_boolean(by_number, "capture"));
	g_assert_cmpstr(sf_arguments_get_string(by_name, "whence"), ==, "set");
	g_assert_cmpint(sf_arguments_get_integer(by_name, "whence"), ==, 0);
	g_assert_cmpstr(sf_arguments_get_string(by_name, "capture"), ==, "none");
	g_assert_false(sf_arguments_get_boolean(by_name, "capture"));
}

static void test_get_objects(void)
{
	g_autoptr(JsonObject) object = parse_object("{\"id\":5,\"vcpus\":[{\"logical-id\":3},"
						    "{\"logical-id\":4,\"online\":true}]}");
	g_autoptr(SfArguments) arguments = sf_arguments_parse(specs, object, NULL);
	g_autoptr(SfArguments) first = sf_arguments_get_object(arguments, "vcpus", 0);
	g_autoptr(SfArguments) second = sf_arguments_get_object(arguments, "vcpus", 1);

	g_assert_cmpuint(sf_arguments_count_objects(arguments, "vcpus"), ==, 2);
	g_assert_cmpuint(sf_arguments_count_objects(arguments, "names"), ==, 0);
	g_assert_cmpint(sf_arguments_get_integer(first, "logical-id"), ==, 3);
	g_assert_false(sf_arguments_has(first, "online"));
	g_assert_cmpint(sf_arguments_get_integer(second, "logical-id"), ==, 4);
	g_assert_true(sf_arguments_get_boolean(second, "online"));
}

static void test_describe(void)
{
	g_autofree char *all = sf_arguments_describe(specs);
	g_autofree char *none = sf_arguments_describe(NULL);

	g_assert_cmpstr(all, ==,
			"id int, path? string, force? bool, names? [string], mode? read|write, "
			"whence? int|set|cur, named? int|set|cur, capture? bool|none|merged, "
			"vcpus? [{logical-id int, online? bool}]");
	g_assert_cmpstr(none, ==, "");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/arguments/check", test_check);
	g_test_add_func("/arguments/without-object", test_without_object);
	g_test_add_func("/arguments/get", test_get);
	g_test_add_func("/arguments/get-what-was-not-given", test_get_what_was_not_given);
	g_test_add_func("/arguments/empty-list", test_empty_list);
	g_test_add_func("/arguments/get-alternate", test_get_alternate);
	g_test_add_func("/arguments/get-objects", test_get_objects);
	g_test_add_func("/arguments/describe", test_describe);
	return g_test_run();
}
