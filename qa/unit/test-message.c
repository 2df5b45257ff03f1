/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/message: what is a request, and how replies look, to the byte. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "protocol/error.h"
#include "protocol/frame.h"
#include "protocol/message.h"

typedef struct {
	const char *text;
	const char *error; /* (nullable) */
	const char *id;    /* (nullable): as it is echoed */
} Case;

#define NO_OBJECT "QMP input must be a JSON object"
#define EXECUTE "QMP input member 'execute' must be a string"
#define ARGUMENTS "QMP input member 'arguments' must be an object"

static const Case cases[] = {
	{"{\"execute\":\"x\"}", NULL, NULL},
	{"{\"execute\":\"x\",\"arguments\":{}}", NULL, NULL},
	{"{\"execute\":\"x\",\"arguments\":{\"a\":[1]},\"id\":5}", NULL, "5"},
	{"{\"execute\":\"x\",\"id\":null}", NULL, "null"},
	{"{\"execute\":\"x\",\"id\":{\"a\":[1,true,\"é\"]}}", NULL,
	 "{\"a\": [1, true, \"\\u00E9\"]}"},
	{"{\"id\":\"x\",\"execute\":\"x\"}", NULL, "\"x\""},
	{"{\"execute\":\"x\",\"id\":-9223372036854775808}", NULL, "-9223372036854775808"},
	{"{\"execute\":\"x\",\"id\":9223372036854775807}", NULL, "9223372036854775807"},
	{"{\"execute\":\"x\",\"id\":0.5}", NULL, "0.5"},
	{"[1]", NO_OBJECT, NULL},
	{"7", NO_OBJECT, NULL},
	{"null", NO_OBJECT, NULL},
	{"\"x\"", NO_OBJECT, NULL},
	{"{}", "QMP input lacks member 'execute'", NULL},
	{"{\"id\":5}", "QMP input lacks member 'execute'", "5"},
	{"{\"arguments\":{}}", "QMP input lacks member 'execute'", NULL},
	{"{\"execute\":\"x\",\"extra\":1,\"id\":6}", "QMP input member 'extra' is unexpected", "6"},
	{"{\"exec-oob\":\"x\"}", "QMP input member 'exec-oob' is unexpected", NULL},
	{"{\"execute\":5}", EXECUTE, NULL},
	{"{\"execute\":null,\"id\":[]}", EXECUTE, "[]"},
	{"{\"execute\":{}}", EXECUTE, NULL},
	{"{\"execute\":\"x\",\"arguments\":[]}", ARGUMENTS, NULL},
	{"{\"execute\":\"x\",\"arguments\":null,\"id\":7}", ARGUMENTS, "7"},
	{"{\"execute\":\"x\",\"arguments\":\"y\"}", ARGUMENTS, NULL},
};

static void check_id(JsonNode *id, const char *expected)
{
	GString *written = g_string_new(NULL);

	if (id)
		sf_json_write(written, id);
	g_assert_cmpstr(id ? written->str : NULL, ==, expected);
	g_string_free(written, TRUE);
}

static void test_parse(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(JsonNode) id = NULL;
		g_autoptr(SfRequest) request = sf_request_parse(cases[i].text, &id, &error);

		g_test_message("%s", cases[i].text);
		g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].error);
		g_assert_true((request == NULL) == (error != NULL));
		check_id(request ? request->id : id, cases[i].id);
		if (request)
			g_assert_cmpstr(request->command, ==, "x");
		else
			g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
	}
}

static void test_parse_arguments(void)
{
	g_autoptr(JsonNode) id = NULL;
	g_autoptr(SfRequest) without = sf_request_parse("{\"execute\":\"x\"}", &id, NULL);
	g_autoptr(SfRequest) with =
		sf_request_parse("{\"execute\":\"x\",\"arguments\":{\"a\":5}}", &id, NULL);

	g_assert_null(without->arguments);
	g_assert_cmpint(json_object_get_int_member(with->arguments, "a"), ==, 5);
}

/* As deep as a frame lets through: json-glib has a limit of its own. */
static void test_parse_deep(void)
{
	const unsigned int depth = sf_frame_default_limits.max_depth - 1;
	g_autofree char *open = g_strnfill(depth, '[');
	g_autofree char *close = g_strnfill(depth, ']');
	g_autofree char *text = g_strdup_printf("{\"execute\":\"x\",\"id\":%s%s}", open, close);
	g_autofree char *echo = g_strdup_printf("%s%s", open, close);
	g_autoptr(JsonNode) id = NULL;
	g_autoptr(SfRequest) request = sf_request_parse(text, &id, NULL);

	g_assert_nonnull(request);
	check_id(request->id, echo);
}

static const struct {
	const char *json, *written;
} write_cases[] = {
	{"{}", "{}"},
	{"[]", "[]"},
	{"{\"b\":1,\"a\":[1,{\"c\":null}]}", "{\"b\": 1, \"a\": [1, {\"c\": null}]}"},
	{"[true,false]", "[true, false]"},
	{"\"\\\"\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
	{"\"\\u0001\\u001f\\u007f\"", "\"\\u0001\\u001F\\u007F\""},
	{"\"aé€😀z\"", "\"a\\u00E9\\u20AC\\uD83D\\uDE00z\""},
	{"\"\xF4\x8F\xBF\xBF\"", "\"\\uDBFF\\uDFFF\""},
	{"{\"é\":1}", "{\"\\u00E9\": 1}"},
	{"-9223372036854775808", "-9223372036854775808"},
	{"9223372036854775807", "9223372036854775807"},
	{"0.1", "0.10000000000000001"},
	{"1446298372.25", "1446298372.25"},
	{"1e300", "1.0000000000000001e+300"},
	{"2.0", "2"},
};

static void check_written(JsonNode *node, const char *expected)
{
	GString *written = g_string_new(NULL);

	sf_json_write(written, node);
	g_assert_cmpstr(written->str, ==, expected);
	g_string_free(written, TRUE);
}

static void test_write(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(write_cases); i++) {
		g_autoptr(JsonNode) node = json_from_string(write_cases[i].json, NULL);

		g_assert_nonnull(node);
		check_written(node, write_cases[i].written);
	}
}

static void test_write_what_is_no_json(void)
{
	g_autoptr(JsonNode) latin1 = json_node_init_string(json_node_alloc(), "a\xE9z\xE2\x82");
	g_autoptr(JsonNode) infinite = json_node_init_double(json_node_alloc(), INFINITY);
	g_autoptr(JsonNode) nan = json_node_init_double(json_node_alloc(), NAN);

	check_written(latin1, "\"a\\uFFFDz\\uFFFD\\uFFFD\"");
	check_written(infinite, "null");
	check_written(nan, "null");
}

static void test_replies(void)
{
	g_autoptr(JsonNode) result = json_from_string("{\"a\":1}", NULL);
	g_autoptr(JsonNode) number = json_from_string("3", NULL);
	g_autoptr(JsonNode) id = json_from_string("null", NULL);
	g_autoptr(GError) missing =
		g_error_new(SF_ERROR, SF_ERROR_COMMAND_NOT_FOUND, "The command %s", "é");
	g_autofree char *plain = sf_reply_return(number, NULL);
	g_autofree char *with_id = sf_reply_return(result, id);
	g_autofree char *empty = sf_reply_return(NULL, NULL);
	g_autofree char *error = sf_reply_error(missing, NULL);
	g_autofree char *error_with_id = sf_reply_error(missing, id);

	g_assert_cmpstr(plain, ==, "{\"return\": 3}\n");
	g_assert_cmpstr(with_id, ==, "{\"return\": {\"a\": 1}, \"id\": null}\n");
	g_assert_cmpstr(empty, ==, "{\"return\": {}}\n");
	g_assert_cmpstr(error, ==,
			"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
			"\"The command \\u00E9\"}}\n");
	g_assert_cmpstr(error_with_id, ==,
			"{\"id\": null, \"error\": {\"class\": \"CommandNotFound\", \"desc\": "
			"\"The command \\u00E9\"}}\n");
}

/* What an error quotes is the host's; its length is ours. */
static void test_long_error(void)
{
	g_autofree char *name = g_strnfill(1000000, 'x');
	g_autoptr(GError) error = g_error_new(SF_ERROR, SF_ERROR_GENERIC, "Parameter '%s'", name);
	g_autofree char *reply = sf_reply_error(error, NULL);

	g_assert_true(g_str_has_prefix(
		reply, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Parameter 'xxx"));
	g_assert_true(g_str_has_suffix(reply, "xxx...\"}}\n"));
	g_assert_cmpuint(strlen(reply), <, 9000);
}

static void test_requests(void)
{
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autofree char *bare = sf_request_write("guest-ping", NULL);
	g_autofree char *with = NULL;

	json_object_set_int_member(arguments, "id", 7);
	with = sf_request_write("guest-sync", arguments);
	g_assert_cmpstr(bare, ==, "{\"execute\": \"guest-ping\"}\n");
	g_assert_cmpstr(with, ==, "{\"execute\": \"guest-sync\", \"arguments\": {\"id\": 7}}\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/parse", test_parse);
	g_test_add_func("/message/parse-arguments", test_parse_arguments);
	g_test_add_func("/message/parse-deep", test_parse_deep);
	g_test_add_func("/message/write", test_write);
	g_test_add_func("/message/write-what-is-no-json", test_write_what_is_no_json);
	g_test_add_func("/message/replies", test_replies);
	g_test_add_func("/message/long-error", test_long_error);
	g_test_add_func("/message/requests", test_requests);
	return g_test_run();
}
