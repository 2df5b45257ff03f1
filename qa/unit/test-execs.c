/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/execs, agent/base64: programs of a host's: their input, output, end and number. */
#include "config.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base64.h"
#include "agent/execs.h"

static const char *const no_environment[] = {"PATH=/bin:/usr/bin", NULL};

typedef struct {
	pid_t pid; /* 0 until it has started or not */
	char *error;
	bool has_exited;
	int status;
	char *out, *err;
	gsize out_size;
	bool out_truncated, err_truncated;
} Result;

static void result_clear(Result *result)
{
	g_free(result->error);
	g_free(result->out);
	g_free(result->err);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

static void on_started(pid_t pid, const GError *error, gpointer user_data)
{
	Result *result = user_data;

	g_assert_cmpint(result->pid, ==, 0);
	result->pid = pid;
	result->error = error ? g_strdup(error->message) : NULL;
}

static char *copy(const GByteArray *data)
{
	return data->len ? g_strndup((const char *)data->data, data->len) : g_strdup("");
}

static void visit(const SfExecStatus *status, gpointer user_data)
{
	Result *result = user_data;

	result->has_exited = status->has_exited;
	if (!status->has_exited)
		return;
	result->status = status->status;
	result->out = copy(status->out);
	result->err = copy(status->err);
	result->out_size = status->out->len;
	result->out_truncated = status->out_truncated;
	result->err_truncated = status->err_truncated;
}

static gboolean wake_up(gpointer user_data)
{
	return G_SOURCE_CONTINUE;
}

static Result start(SfExecs *execs, const SfExecRequest *request)
{
	Result result = {0};

	sf_execs_start(execs, request, on_started, &result);
	while (result.pid == 0)
		g_main_context_iteration(NULL, TRUE);
	return result;
}

static void wait_for(SfExecs *execs, Result *result)
{
	guint tick = g_timeout_add(5, wake_up, NULL);

	do {
		g_main_context_iteration(NULL, TRUE);
		g_assert_true(sf_execs_ask(execs, result->pid, visit, result));
	} while (!result->has_exited);
	g_source_remove(tick);
	/* It was told once. */
	g_assert_false(sf_execs_ask(execs, result->pid, visit, result));
}

static Result run(const char *script, SfCapture capture, const char *input)
{
	g_autoptr(SfExecs) execs = sf_execs_new();
	const char *argv[] = {"sh", "-c", script, NULL};
	g_autoptr(GBytes) bytes = input ? g_bytes_new(input, strlen(input)) : NULL;
	SfExecRequest request = {argv, no_environment, bytes, capture};
	Result result = start(execs, &request);

	g_assert_null(result.error);
	g_assert_cmpint(result.pid, >, 0);
	wait_for(execs, &result);
	return result;
}

static void test_capture(void)
{
	static const struct {
		SfCapture capture;
		const char *out, *err;
	} cases[] = {
		{SF_CAPTURE_NONE, "", ""},     {SF_CAPTURE_STDOUT, "a", ""},
		{SF_CAPTURE_STDERR, "", "b"},  {SF_CAPTURE_SEPARATED, "a", "b"},
		{SF_CAPTURE_MERGED, "ab", ""},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(Result) result =
			run("printf a; printf b >&2; exit 3", cases[i].capture, NULL);

		g_assert_cmpstr(result.out, ==, cases[i].out);
		g_assert_cmpstr(result.err, ==, cases[i].err);
		g_assert_true(WIFEXITED(result.status));
		g_assert_cmpint(WEXITSTATUS(result.status), ==, 3);
	}
}

static void test_input(void)
{
	g_auto(Result) result = run("cat; printf ' and its end'", SF_CAPTURE_STDOUT, "input");
	g_autofree char *large = g_strnfill(1 << 20, 'x');
	g_auto(Result) counted = run("wc -c", SF_CAPTURE_STDOUT, large);
	/* What does not read its input does not end us. */
	g_auto(Result) deaf = run("exit 0", SF_CAPTURE_NONE, large);
	g_auto(Result) none = run("cat", SF_CAPTURE_STDOUT, NULL);

	g_assert_cmpstr(result.out, ==, "input and its end");
	g_assert_cmpint(atoi(counted.out), ==, 1 << 20);
	g_assert_cmpint(deaf.status, ==, 0);
	g_assert_cmpstr(none.out, ==, "");
}

static void test_signal(void)
{
	g_auto(Result) result = run("kill -9 $$", SF_CAPTURE_NONE, NULL);

	g_assert_true(WIFSIGNALED(result.status));
	g_assert_cmpint(WTERMSIG(result.status), ==, SIGKILL);
}

static void test_nothing_of_the_agents(void)
{
	int fd = dup(0); /* not close-on-exec */
	g_setenv("SECRET_OF_THE_AGENT", "1", TRUE);
	g_auto(Result) result = run("ls /proc/self/fd | wc -l; env; grep SigIgn /proc/self/status",
				    SF_CAPTURE_STDOUT, NULL);

	/* The standard ones, and ls's own. */
	g_assert_true(g_str_has_prefix(g_strchug(result.out), "4\n"));
	g_assert_null(strstr(result.out, "SECRET"));
	g_assert_nonnull(strstr(result.out, "PATH=/bin:/usr/bin"));
	close(fd);
}

static void test_missing(void)
{
	g_autoptr(SfExecs) execs = sf_execs_new();
	const char *argv[] = {"/nonexistent/program", NULL};
	SfExecRequest request = {argv, no_environment, NULL, SF_CAPTURE_NONE};
	g_auto(Result) result = start(execs, &request);

	g_assert_cmpstr(result.error, ==,
			"Guest agent command failed, error was 'Failed to execute child process "
			"\u201C/nonexistent/program\u201D (No such file or directory)'");
	g_assert_false(sf_execs_ask(execs, result.pid, visit, &result));
	g_assert_false(sf_execs_ask(execs, 0, visit, &result));
	g_assert_false(sf_execs_ask(execs, G_MAXINT64, visit, &result));
}

static void test_bound(void)
{
	g_auto(Result) result =
		run("yes | head -c 17000000; echo end >&2", SF_CAPTURE_SEPARATED, NULL);

	g_assert_true(result.out_truncated);
	g_assert_cmpuint(result.out_size, ==, 16 << 20);
	g_assert_false(result.err_truncated);
	g_assert_cmpstr(result.err, ==, "end\n");
}

/* What a program leaves running may hold its output open for ever. */
static void test_left_running(void)
{
	g_auto(Result) result = run("sleep 600 & echo $!", SF_CAPTURE_STDOUT, NULL);
	pid_t left = atoi(result.out);

	g_assert_cmpint(left, >, 1);
	g_assert_cmpint(kill(left, 0), ==, 0);
	kill(left, SIGKILL);
}

static void test_number(void)
{
	g_autoptr(SfExecs) execs = sf_execs_new();
	const char *argv[] = {"sleep", "600", NULL};
	SfExecRequest request = {argv, no_environment, NULL, SF_CAPTURE_NONE};
	Result results[65];

	for (size_t i = 0; i < G_N_ELEMENTS(results); i++)
		results[i] = start(execs, &request);
	g_assert_null(results[63].error);
	g_assert_cmpstr(results[64].error, ==, "64 programs run already");
	/* One that has ended makes room, unasked for. */
	kill(results[5].pid, SIGKILL);
	for (;;) {
		g_auto(Result) again = start(execs, &request);

		if (!again.error) {
			kill(again.pid, SIGKILL);
			break;
		}
		g_main_context_iteration(NULL, FALSE);
	}
	g_assert_false(sf_execs_ask(execs, results[5].pid, visit, &results[5]));
	for (size_t i = 0; i < 64; i++)
		if (i != 5)
			kill(results[i].pid, SIGKILL);
	g_free(results[64].error);
}

static void test_base64(void)
{
	static const char *const bad[] = {"a", "ab", "abc", "====", "ab=c", "=abc", "abcd=", NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bytes = sf_base64_decode("aGVs\r\nbG8=\n", "x", &error);
	gsize size;
	const char *data;

	g_assert_no_error(error);
	data = g_bytes_get_data(bytes, &size);
	g_assert_cmpmem(data, size, "hello", 5);
	g_clear_pointer(&bytes, g_bytes_unref);
	bytes = sf_base64_decode("", "x", &error);
	g_assert_cmpuint(g_bytes_get_size(bytes), ==, 0);
	for (size_t i = 0; bad[i]; i++) {
		g_assert_null(sf_base64_decode(bad[i], "x", &error));
		g_assert_cmpstr(error->message, ==, "Base64 data of parameter 'x' is not valid");
		g_clear_error(&error);
	}
	g_assert_null(sf_base64_decode("a b-", "x", &error));
	g_assert_cmpstr(error->message, ==, "Base64 data contains invalid characters");
}

int main(int argc, char **argv)
{
	/* As the agent has it. */
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/execs/capture", test_capture);
	g_test_add_func("/execs/input", test_input);
	g_test_add_func("/execs/signal", test_signal);
	g_test_add_func("/execs/nothing-of-the-agents", test_nothing_of_the_agents);
	g_test_add_func("/execs/missing", test_missing);
	g_test_add_func("/execs/bound", test_bound);
	g_test_add_func("/execs/left-running", test_left_running);
	g_test_add_func("/execs/number", test_number);
	g_test_add_func("/execs/base64", test_base64);
	return g_test_run();
}
