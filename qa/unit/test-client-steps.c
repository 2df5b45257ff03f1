/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/client: finding the step again, by a sync, and what is done out of step. */
#include "config.h"

#include <string.h>

#include "qa/unit/client-rig.h"
#include "qa/unit/memory.h"

static void script_garbage_then_sync(Agent *agent)
{
	int64_t id = agent_read_sync(agent);
	g_autofree char *long_line = g_strnfill(100000, 'x');

	g_assert_true(agent_say(agent, "login: \xFE{\"return\": 1}\n{\"retu"));
	/* qemu-ga answers the 0xFF with an error; somebody else's sync is late; both are cut. */
	g_assert_true(agent_say(agent, "\xFF{\"error\": {\"class\": \"GenericError\"}}\n"));
	g_assert_true(agent_say(agent, "\xFF{\"return\": 1}\n\xFF{\"return\": \xFF[]\n\xFF"));
	g_assert_true(agent_say(agent, long_line));
	agent_answer_sync(agent, id);
	agent_wait_for_close(agent);
}

static void test_sync(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_garbage_then_sync);
	g_autoptr(GError) error = NULL;

	g_assert_true(sf_client_sync(client, PATIENT_MS, &error));
	g_assert_no_error(error);
	agent_stop(&agent, client);
}

static void script_garbage_without_end(Agent *agent)
{
	while (agent_say(agent, "\xFF{\"return\": 1}\nxxxx\n\xFF\xFF"))
		;
}

static void test_sync_among_garbage(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_garbage_without_end);
	g_autoptr(GError) error = NULL;

	g_assert_false(sf_client_sync(client, SHORT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	agent_stop(&agent, client);
}

/* Half a line and no end of it: only the last part may be kept. */
static void script_long_garbage(Agent *agent)
{
	g_autofree char *chunk = g_strnfill(1 << 20, 'x');
	int64_t id = agent_read_sync(agent);

	g_assert_true(agent_say(agent, "\xFF"));
	for (int i = 0; i < 64; i++)
		g_assert_true(agent_say(agent, chunk));
	agent_answer_sync(agent, id);
	agent_wait_for_close(agent);
}

static void test_sync_behind_long_garbage(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_long_garbage);
	size_t before = resident_bytes();

	g_assert_true(sf_client_sync(client, PATIENT_MS, NULL));
	g_assert_cmpuint(resident_bytes(), <, before + (16 << 20));
	agent_stop(&agent, client);
}

static void test_failed_sync_is_out_of_step(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, agent_wait_for_close);
	g_autoptr(GError) timeout = NULL;
	g_autoptr(GError) out_of_step = NULL;

	g_assert_false(sf_client_sync(client, SHORT_MS, &timeout));
	g_assert_error(timeout, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	g_assert_null(sf_client_call(client, "x", NULL, SHORT_MS, &out_of_step));
	g_assert_error(out_of_step, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	agent_stop(&agent, client);
}

static void script_late(Agent *agent)
{
	g_autofree char *freeze = agent_read_line(agent);
	g_autofree char *status = NULL;
	int64_t id;

	g_assert_cmpstr(freeze, ==, "{\"execute\": \"guest-fsfreeze-freeze\"}");
	/* Answered only when the client has given up: a later sync shows that. What comes between
	 * would be a command sent out of step. */
	id = agent_read_sync(agent);
	g_assert_true(agent_say(agent, "{\"return\": 5}\n"));
	agent_answer_sync(agent, id);
	status = agent_read_line(agent);
	g_assert_cmpstr(status, ==, "{\"execute\": \"guest-fsfreeze-status\"}");
	g_assert_true(agent_say(agent, "{\"return\": \"thawed\"}\n"));
	agent_wait_for_close(agent);
}

static void test_late_answer_is_nobodys(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_late);
	g_autoptr(GError) timeout = NULL;
	g_autoptr(GError) out_of_step = NULL;
	g_autoptr(JsonNode) result = NULL;

	g_assert_null(sf_client_call(client, "guest-fsfreeze-freeze", NULL, SHORT_MS, &timeout));
	g_assert_error(timeout, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	g_assert_null(
		sf_client_call(client, "guest-fsfreeze-thaw", NULL, PATIENT_MS, &out_of_step));
	g_assert_error(out_of_step, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);

	g_assert_true(sf_client_sync(client, PATIENT_MS, NULL));
	result = sf_client_call(client, "guest-fsfreeze-status", NULL, PATIENT_MS, NULL);
	g_assert_nonnull(result);
	g_assert_cmpstr(json_node_get_string(result), ==, "thawed");
	agent_stop(&agent, client);
}

static void script_says_more(Agent *agent)
{
	agent_skip_line(agent);
	g_assert_true(agent_say(agent, "{\"return\": 1}\n"));
	agent_wait_until_read(agent);
	g_assert_true(agent_say(agent, "{\"return\": 2}\n"));
	g_atomic_pointer_set(&agent->answer, "said");
	agent_wait_for_close(agent);
}

/* What nobody asked for is not the answer to the next call: whether it came in one piece with the
 * answer before it, or later. */
static void test_unasked_answer_later(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_says_more);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) first = sf_client_call(client, "x", NULL, PATIENT_MS, NULL);

	g_assert_nonnull(first);
	while (!g_atomic_pointer_get(&agent.answer))
		g_thread_yield();
	g_assert_null(sf_client_call(client, "y", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	agent_stop(&agent, client);
}

static void test_unasked_answer(void)
{
	Agent agent = {.answer = "{\"return\": 1}\n{\"return\": 2}\n"};
	SfClient *client = agent_start(&agent, agent_answer_once);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) first = sf_client_call(client, "x", NULL, PATIENT_MS, NULL);

	g_assert_nonnull(first);
	g_assert_null(sf_client_call(client, "y", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	agent_stop(&agent, client);
}

static void script_two_calls(Agent *agent)
{
	agent_skip_line(agent);
	g_assert_true(
		agent_say(agent, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"x\"}}\n"));
	agent_skip_line(agent);
	g_assert_true(agent_say(agent, "{\"return\": {}}\n"));
	agent_wait_for_close(agent);
}

static void test_refusal_stays_in_step(void)
{
	Agent agent = {0};
	SfClient *client = agent_start(&agent, script_two_calls);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) second = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED);
	second = sf_client_call(client, "y", NULL, PATIENT_MS, NULL);
	g_assert_nonnull(second);
	agent_stop(&agent, client);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/client-steps/sync", test_sync);
	g_test_add_func("/client-steps/sync-among-garbage", test_sync_among_garbage);
	g_test_add_func("/client-steps/sync-behind-long-garbage", test_sync_behind_long_garbage);
	g_test_add_func("/client-steps/failed-sync-is-out-of-step",
			test_failed_sync_is_out_of_step);
	g_test_add_func("/client-steps/late-answer-is-nobodys", test_late_answer_is_nobodys);
	g_test_add_func("/client-steps/unasked-answer", test_unasked_answer);
	g_test_add_func("/client-steps/unasked-answer-later", test_unasked_answer_later);
	g_test_add_func("/client-steps/refusal-stays-in-step", test_refusal_stays_in_step);
	return g_test_run();
}
