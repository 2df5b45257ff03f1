/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/client: calls, to agents that answer well, badly, late or never. */
#include "config.h"

#include <poll.h>
#include <string.h>

#include "qa/unit/client-rig.h"

static void script_call(Agent *agent)
{
	g_autofree char *request = agent_read_line(agent);

	g_assert_cmpstr(request, ==,
			"{\"execute\": \"guest-fsfreeze-freeze-list\", "
			"\"arguments\": {\"mountpoints\": []}}");
	/* In pieces, so that the line's end is found wherever it comes. */
	g_assert_true(agent_say(agent, "{\"ret"));
	agent_wait_until_read(agent);
	g_assert_true(agent_say(agent, "urn\": 3}"));
	agent_wait_until_read(agent);
	g_assert_true(agent_say(agent, "\n"));
	agent_wait_for_close(agent);
}

static void test_call(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_call);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autoptr(JsonNode) result = NULL;

	json_object_set_array_member(arguments, "mountpoints", json_array_new());
	result =
		sf_client_call(client, "guest-fsfreeze-freeze-list", arguments, PATIENT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_node_get_int(result), ==, 3);
	agent_stop(&agent, client);
}

static const struct {
	const char *name, *answer;
	SfClientErrorCode code;
	const char *message; /* (nullable) */
} bad_answers[] = {
	{"refused", "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no such\"}}\n",
	 SF_CLIENT_ERROR_REFUSED, "CommandNotFound: no such"},
	{"refused-with-terminal-codes",
	 "{\"error\": {\"class\": \"GenericError\", \"desc\": \"\\u001b[2J\\u009b2J\\nx\"}}\n",
	 SF_CLIENT_ERROR_REFUSED, "GenericError: ?[2J?2J?x"},
	{"no-json", "hello\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"empty-line", "\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"half-json", "{\"return\": {}\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"two-on-a-line", "{\"return\": {}}{\"return\": {}}\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"no-object", "[1]\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"neither", "{\"event\": {}}\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"error-without-class", "{\"error\": {\"desc\": \"x\"}}\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"error-is-no-object", "{\"error\": 5}\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"error-class-is-no-string", "{\"error\": {\"class\": 5, \"desc\": \"x\"}}\n",
	 SF_CLIENT_ERROR_PROTOCOL, NULL},
	{"duplicate-return", "{\"return\": 1, \"return\": 2}\n", SF_CLIENT_ERROR_PROTOCOL, NULL},
};

static void test_bad_answer(gconstpointer data)
{
	size_t i = GPOINTER_TO_SIZE(data);
	Agent agent = {.answer = bad_answers[i].answer};
	SfClient *client = agent_start(&agent, agent_answer_once);
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, (int)bad_answers[i].code);
	if (bad_answers[i].message)
		g_assert_cmpstr(error->message, ==, bad_answers[i].message);
	agent_stop(&agent, client);
}

/* The answer to guest-sync-delimited as a plain call. */
static void test_delimited_answer(void)
{
	Agent agent = {.answer = "\xFF{\"return\": 7}\n"};
	SfClient *client = agent_start(&agent, agent_answer_once);
	g_autoptr(JsonNode) result =
		sf_client_call(client, "guest-sync-delimited", NULL, PATIENT_MS, NULL);

	g_assert_nonnull(result);
	g_assert_cmpint(json_node_get_int(result), ==, 7);
	agent_stop(&agent, client);
}

static void script_close(Agent *agent)
{
	agent_skip_line(agent);
	g_assert_true(agent_say(agent, "{\"return\": "));
}

static void script_says_nothing(Agent *agent)
{
}

static void test_closed(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_close);
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT);
	g_assert_cmpstr(error->message, ==, "the agent closed the connection");
	agent_stop(&agent, client);
}

/* Writing to it raises no SIGPIPE. */
static void test_closed_before(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_says_nothing);
	g_autoptr(GError) error = NULL;

	g_thread_join(agent.thread);
	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT);
	sf_client_free(client);
	agent_stop_listening(&agent);
}

static void script_too_long(Agent *agent)
{
	g_autofree char *chunk = g_strnfill(1 << 20, 'a');

	agent_skip_line(agent);
	g_assert_true(agent_say(agent, "{\"return\": \""));
	/* Without end: the client must be the one who gives up. */
	while (agent_say(agent, chunk))
		;
}

static void test_too_long(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_too_long);
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	agent_stop(&agent, client);
}

static void script_reads_nothing(Agent *agent)
{
	struct pollfd entry = {.fd = agent->fd, .events = POLLRDHUP};

	/* Until the client is gone. */
	g_assert_cmpint(poll(&entry, 1, PATIENT_MS), ==, 1);
}

/* A peer that reads nothing blocks the writing side: the deadline holds there too. */
static void test_write_timeout(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_reads_nothing);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autofree char *large = g_strnfill(8 << 20, 'a');
	g_autoptr(GError) error = NULL;

	json_object_set_string_member(arguments, "buf", large);
	g_assert_null(sf_client_call(client, "x", arguments, SHORT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	agent_stop(&agent, client);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/client/call", test_call);
	for (size_t i = 0; i < G_N_ELEMENTS(bad_answers); i++) {
		g_autofree char *path = g_strdup_printf("/client/answer/%s", bad_answers[i].name);
		g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_bad_answer);
	}
	g_test_add_func("/client/delimited-answer", test_delimited_answer);
	g_test_add_func("/client/closed", test_closed);
	g_test_add_func("/client/closed-before", test_closed_before);
	g_test_add_func("/client/too-long", test_too_long);
	g_test_add_func("/client/write-timeout", test_write_timeout);
	return g_test_run();
}
