/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/client, against agents that answer well, badly, late or never. */
#include "config.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/client.h"
#include "qa/unit/memory.h"

/* Far longer than any answer takes; no test waits for its end. */
#define PATIENT_MS 30000
/* How long a test waits for what must not come. */
#define SHORT_MS 100

typedef struct Agent Agent;
typedef void (*Script)(Agent *agent);

/* An agent behind a Unix socket: one connection, in a thread of its own. */
struct Agent {
	char *folder, *path;
	int listener, fd;
	Script script;
	const char *answer; /* of answer_once() */
	GThread *thread;
};

static gpointer run_agent(gpointer data)
{
	Agent *agent = data;

	agent->fd = accept4(agent->listener, NULL, NULL, SOCK_CLOEXEC);
	g_assert_cmpint(agent->fd, >=, 0);
	agent->script(agent);
	close(agent->fd);
	return NULL;
}

static void listen_at(Agent *agent)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	agent->folder = g_dir_make_tmp("test-client-XXXXXX", NULL);
	agent->path = g_build_filename(agent->folder, "agent", NULL);
	g_assert_cmpuint(strlen(agent->path), <, sizeof address.sun_path);
	memcpy(address.sun_path, agent->path, strlen(agent->path));
	agent->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(agent->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(agent->listener, 0), ==, 0);
}

static SfClient *start(Agent *agent, Script script)
{
	SfClient *client;
	g_autoptr(GError) error = NULL;

	listen_at(agent);
	agent->script = script;
	agent->thread = g_thread_new("agent", run_agent, agent);
	client = sf_client_connect(agent->path, PATIENT_MS, &error);
	g_assert_no_error(error);
	return client;
}

static void stop_listening(Agent *agent)
{
	close(agent->listener);
	g_unlink(agent->path);
	g_rmdir(agent->folder);
	g_free(agent->path);
	g_free(agent->folder);
}

/* Frees the client first: a script may wait for the end of its input. */
static void stop(Agent *agent, SfClient *client)
{
	sf_client_free(client);
	g_thread_join(agent->thread);
	stop_listening(agent);
}

static char *read_line(Agent *agent)
{
	GString *line = g_string_new(NULL);
	char byte;

	while (read(agent->fd, &byte, 1) == 1 && byte != '\n')
		g_string_append_c(line, byte);
	return g_string_free(line, FALSE);
}

static void skip_line(Agent *agent)
{
	g_free(read_line(agent));
}

/* Reads to the end of what the client sends. */
static void wait_for_close(Agent *agent)
{
	char bytes[256];

	while (read(agent->fd, bytes, sizeof bytes) > 0)
		;
}

/* Returns: false where the client is gone */
static bool say(Agent *agent, const char *bytes)
{
	size_t len = strlen(bytes);

	return send(agent->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Until the client has taken what was said, so that the next words come on their own. */
static void wait_until_read(Agent *agent)
{
	int unread = 1;

	while (unread > 0) {
		g_thread_yield();
		g_assert_cmpint(ioctl(agent->fd, SIOCOUTQ, &unread), ==, 0);
	}
}

/* Reads a guest-sync-delimited and returns its id. */
static int64_t read_sync(Agent *agent)
{
	static const char head[] =
		"\xFF{\"execute\": \"guest-sync-delimited\", \"arguments\": {\"id\": ";
	g_autofree char *line = read_line(agent);

	g_assert_true(g_str_has_prefix(line, head));
	g_assert_true(g_str_has_suffix(line, "}}"));
	return g_ascii_strtoll(line + strlen(head), NULL, 10);
}

static void answer_sync(Agent *agent, int64_t id)
{
	g_autofree char *reply = g_strdup_printf("\xFF{\"return\": %" G_GINT64_FORMAT "}\n", id);

	g_assert_true(say(agent, reply));
}

static void answer_once(Agent *agent)
{
	skip_line(agent);
	(void)say(agent, agent->answer);
	wait_for_close(agent);
}

/* --- calls --- */

static void script_call(Agent *agent)
{
	g_autofree char *request = read_line(agent);

	g_assert_cmpstr(request, ==,
			"{\"execute\": \"guest-fsfreeze-freeze-list\", "
			"\"arguments\": {\"mountpoints\": []}}");
	/* In pieces, so that the line's end is found wherever it comes. */
	g_assert_true(say(agent, "{\"ret"));
	wait_until_read(agent);
	g_assert_true(say(agent, "urn\": 3}"));
	wait_until_read(agent);
	g_assert_true(say(agent, "\n"));
	wait_for_close(agent);
}

static void test_call(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_call);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autoptr(JsonNode) result = NULL;

	json_object_set_array_member(arguments, "mountpoints", json_array_new());
	result =
		sf_client_call(client, "guest-fsfreeze-freeze-list", arguments, PATIENT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(json_node_get_int(result), ==, 3);
	stop(&agent, client);
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
	SfClient *client = start(&agent, answer_once);
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, (int)bad_answers[i].code);
	if (bad_answers[i].message)
		g_assert_cmpstr(error->message, ==, bad_answers[i].message);
	stop(&agent, client);
}

/* The answer to guest-sync-delimited as a plain call. */
static void test_delimited_answer(void)
{
	Agent agent = {.answer = "\xFF{\"return\": 7}\n"};
	SfClient *client = start(&agent, answer_once);
	g_autoptr(JsonNode) result =
		sf_client_call(client, "guest-sync-delimited", NULL, PATIENT_MS, NULL);

	g_assert_nonnull(result);
	g_assert_cmpint(json_node_get_int(result), ==, 7);
	stop(&agent, client);
}

static void script_close(Agent *agent)
{
	skip_line(agent);
	g_assert_true(say(agent, "{\"return\": "));
}

static void script_says_nothing(Agent *agent)
{
}

static void test_closed(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_close);
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT);
	g_assert_cmpstr(error->message, ==, "the agent closed the connection");
	stop(&agent, client);
}

/* Writing to it raises no SIGPIPE. */
static void test_closed_before(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_says_nothing);
	g_autoptr(GError) error = NULL;

	g_thread_join(agent.thread);
	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT);
	sf_client_free(client);
	stop_listening(&agent);
}

static void script_too_long(Agent *agent)
{
	g_autofree char *chunk = g_strnfill(1 << 20, 'a');

	skip_line(agent);
	g_assert_true(say(agent, "{\"return\": \""));
	/* Without end: the client must be the one who gives up. */
	while (say(agent, chunk))
		;
}

static void test_too_long(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_too_long);
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	stop(&agent, client);
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
	SfClient *client = start(&agent, script_reads_nothing);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autofree char *large = g_strnfill(8 << 20, 'a');
	g_autoptr(GError) error = NULL;

	json_object_set_string_member(arguments, "buf", large);
	g_assert_null(sf_client_call(client, "x", arguments, SHORT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	stop(&agent, client);
}

/* --- sync, and being out of step --- */

static void script_garbage_then_sync(Agent *agent)
{
	int64_t id = read_sync(agent);
	g_autofree char *long_line = g_strnfill(100000, 'x');

	g_assert_true(say(agent, "login: \xFE{\"return\": 1}\n{\"retu"));
	/* qemu-ga answers the 0xFF with an error; somebody else's sync is late; both are cut. */
	g_assert_true(say(agent, "\xFF{\"error\": {\"class\": \"GenericError\"}}\n"));
	g_assert_true(say(agent, "\xFF{\"return\": 1}\n\xFF{\"return\": \xFF[]\n\xFF"));
	g_assert_true(say(agent, long_line));
	answer_sync(agent, id);
	wait_for_close(agent);
}

static void test_sync(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_garbage_then_sync);
	g_autoptr(GError) error = NULL;

	g_assert_true(sf_client_sync(client, PATIENT_MS, &error));
	g_assert_no_error(error);
	stop(&agent, client);
}

static void script_garbage_without_end(Agent *agent)
{
	while (say(agent, "\xFF{\"return\": 1}\nxxxx\n\xFF\xFF"))
		;
}

static void test_sync_among_garbage(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_garbage_without_end);
	g_autoptr(GError) error = NULL;

	g_assert_false(sf_client_sync(client, SHORT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	stop(&agent, client);
}

/* Half a line and no end of it: only the last part may be kept. */
static void script_long_garbage(Agent *agent)
{
	g_autofree char *chunk = g_strnfill(1 << 20, 'x');
	int64_t id = read_sync(agent);

	g_assert_true(say(agent, "\xFF"));
	for (int i = 0; i < 64; i++)
		g_assert_true(say(agent, chunk));
	answer_sync(agent, id);
	wait_for_close(agent);
}

static void test_sync_behind_long_garbage(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_long_garbage);
	size_t before = resident_bytes();

	g_assert_true(sf_client_sync(client, PATIENT_MS, NULL));
	g_assert_cmpuint(resident_bytes(), <, before + (16 << 20));
	stop(&agent, client);
}

static void test_failed_sync_is_out_of_step(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, wait_for_close);
	g_autoptr(GError) timeout = NULL;
	g_autoptr(GError) out_of_step = NULL;

	g_assert_false(sf_client_sync(client, SHORT_MS, &timeout));
	g_assert_error(timeout, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	g_assert_null(sf_client_call(client, "x", NULL, SHORT_MS, &out_of_step));
	g_assert_error(out_of_step, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	stop(&agent, client);
}

static void script_late(Agent *agent)
{
	g_autofree char *freeze = read_line(agent);
	g_autofree char *status = NULL;
	int64_t id;

	g_assert_cmpstr(freeze, ==, "{\"execute\": \"guest-fsfreeze-freeze\"}");
	/* Answered only when the client has given up: a later sync shows that. What comes between
	 * would be a command sent out of step. */
	id = read_sync(agent);
	g_assert_true(say(agent, "{\"return\": 5}\n"));
	answer_sync(agent, id);
	status = read_line(agent);
	g_assert_cmpstr(status, ==, "{\"execute\": \"guest-fsfreeze-status\"}");
	g_assert_true(say(agent, "{\"return\": \"thawed\"}\n"));
	wait_for_close(agent);
}

static void test_late_answer_is_nobodys(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_late);
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
	stop(&agent, client);
}

static void script_says_more(Agent *agent)
{
	skip_line(agent);
	g_assert_true(say(agent, "{\"return\": 1}\n"));
	wait_until_read(agent);
	g_assert_true(say(agent, "{\"return\": 2}\n"));
	g_atomic_pointer_set(&agent->answer, "said");
	wait_for_close(agent);
}

/* What nobody asked for is not the answer to the next call: whether it came in one piece with the
 * answer before it, or later. */
static void test_unasked_answer_later(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_says_more);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) first = sf_client_call(client, "x", NULL, PATIENT_MS, NULL);

	g_assert_nonnull(first);
	while (!g_atomic_pointer_get(&agent.answer))
		g_thread_yield();
	g_assert_null(sf_client_call(client, "y", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	stop(&agent, client);
}

static void test_unasked_answer(void)
{
	Agent agent = {.answer = "{\"return\": 1}\n{\"return\": 2}\n"};
	SfClient *client = start(&agent, answer_once);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) first = sf_client_call(client, "x", NULL, PATIENT_MS, NULL);

	g_assert_nonnull(first);
	g_assert_null(sf_client_call(client, "y", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL);
	stop(&agent, client);
}

static void script_two_calls(Agent *agent)
{
	skip_line(agent);
	g_assert_true(say(agent, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"x\"}}\n"));
	skip_line(agent);
	g_assert_true(say(agent, "{\"return\": {}}\n"));
	wait_for_close(agent);
}

static void test_refusal_stays_in_step(void)
{
	Agent agent = {0};
	SfClient *client = start(&agent, script_two_calls);
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) second = NULL;

	g_assert_null(sf_client_call(client, "x", NULL, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_REFUSED);
	second = sf_client_call(client, "y", NULL, PATIENT_MS, NULL);
	g_assert_nonnull(second);
	stop(&agent, client);
}

/* --- connecting --- */

static void check_no_connection(const char *address)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_connect(address, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT);
}

static void test_no_connection(void)
{
	g_autofree char *too_long = g_strnfill(200, 'x');

	check_no_connection("/nonexistent/agent");
	check_no_connection("unix:/nonexistent/agent");
	check_no_connection("");
	check_no_connection(too_long);
	check_no_connection("vsock:");
	check_no_connection("vsock:3");
	check_no_connection("vsock:3:x");
	check_no_connection("vsock:3:1:2");
	check_no_connection("vsock:99999999999:1");
}

/* The listener's queue is full and nobody accepts. */
static void test_connect_timeout(void)
{
	Agent agent = {0};
	SfClient *waiting[8] = {0};
	g_autoptr(GError) error = NULL;
	size_t n = 0;

	listen_at(&agent);
	while (n < G_N_ELEMENTS(waiting)) {
		waiting[n] = sf_client_connect(agent.path, SHORT_MS, &error);
		if (!waiting[n])
			break;
		n++;
	}
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	g_assert_cmpuint(n, >, 0);
	for (size_t i = 0; i < n; i++)
		sf_client_free(waiting[i]);
	stop_listening(&agent);
}

static void test_close_on_exec(void)
{
	Agent agent = {0};
	g_autofree char *address = NULL;
	SfClient *client;
	int next;

	listen_at(&agent);
	address = g_strconcat("unix:", agent.path, NULL);
	/* The lowest free descriptor is the next one to be used. */
	next = dup(STDIN_FILENO);
	close(next);
	client = sf_client_connect(address, PATIENT_MS, NULL);
	g_assert_nonnull(client);
	g_assert_cmpint(fcntl(next, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
	sf_client_free(client);
	g_assert_cmpint(fcntl(next, F_GETFD), ==, -1);
	stop_listening(&agent);
}

/* A virtio port's host side may be a pty: no echo, and every byte as it is. */
static gpointer run_on_terminal(gpointer data)
{
	Agent *agent = data;
	int64_t id = read_sync(agent);
	g_autofree char *reply = g_strdup_printf("\xFF{\"return\": %" G_GINT64_FORMAT "}\n", id);

	g_assert_cmpint(write(agent->fd, reply, strlen(reply)), ==, (ssize_t)strlen(reply));
	return NULL;
}

static void test_terminal(void)
{
	Agent agent = {.fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
	g_autoptr(GError) error = NULL;
	g_autoptr(SfClient) client = NULL;
	int next;

	if (agent.fd < 0) {
		g_test_skip("no pseudo-terminals here");
		return;
	}
	g_assert_cmpint(grantpt(agent.fd), ==, 0);
	g_assert_cmpint(unlockpt(agent.fd), ==, 0);
	next = dup(STDIN_FILENO);
	close(next);
	client = sf_client_connect(ptsname(agent.fd), PATIENT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(fcntl(next, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
	agent.thread = g_thread_new("agent", run_on_terminal, &agent);
	g_assert_true(sf_client_sync(client, PATIENT_MS, &error));
	g_assert_no_error(error);
	g_thread_join(agent.thread);
	close(agent.fd);
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
	g_test_add_func("/client/sync", test_sync);
	g_test_add_func("/client/sync-among-garbage", test_sync_among_garbage);
	g_test_add_func("/client/sync-behind-long-garbage", test_sync_behind_long_garbage);
	g_test_add_func("/client/failed-sync-is-out-of-step", test_failed_sync_is_out_of_step);
	g_test_add_func("/client/late-answer-is-nobodys", test_late_answer_is_nobodys);
	g_test_add_func("/client/unasked-answer", test_unasked_answer);
	g_test_add_func("/client/unasked-answer-later", test_unasked_answer_later);
	g_test_add_func("/client/refusal-stays-in-step", test_refusal_stays_in_step);
	g_test_add_func("/client/no-connection", test_no_connection);
	g_test_add_func("/client/connect-timeout", test_connect_timeout);
	g_test_add_func("/client/close-on-exec", test_close_on_exec);
	g_test_add_func("/client/terminal", test_terminal);
	return g_test_run();
}
