/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/errand: children that end, hang, write much and die. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/errand.h"

typedef struct {
	GByteArray *output; /* NULL until it is done */
	bool is_whole;
} Result;

static void on_done(const GByteArray *output, bool is_whole, gpointer user_data)
{
	Result *result = user_data;

	g_assert_null(result->output);
	result->output = g_byte_array_new();
	g_byte_array_append(result->output, output->data, output->len);
	result->is_whole = is_whole;
}

static Result run(SfErrands *errands, SfErrandWork work, gpointer work_data,
		  unsigned int timeout_ms)
{
	Result result = {0};

	sf_errand_start(errands, work, work_data, timeout_ms, on_done, &result);
	g_assert_null(result.output);
	while (!result.output)
		g_main_context_iteration(NULL, TRUE);
	return result;
}

static void write_text(int fd, gpointer work_data)
{
	sf_errand_write(fd, work_data, strlen(work_data));
}

static void test_result(void)
{
	g_autoptr(SfErrands) errands = sf_errands_new();
	Result result = run(errands, write_text, (gpointer) "some text", 0);

	g_assert_true(result.is_whole);
	g_assert_cmpmem(result.output->data, result.output->len, "some text", 9);
	g_byte_array_unref(result.output);

	result = run(errands, write_text, (gpointer) "", 0);
	g_autofree char *text = sf_errand_text(result.output);
	g_assert_true(result.is_whole);
	g_assert_cmpstr(text, ==, "");
	g_byte_array_unref(result.output);
}

/* Writes its pid, then hangs. */
static void hang(int fd, gpointer work_data)
{
	pid_t pid = getpid();

	sf_errand_write(fd, &pid, sizeof(pid));
	for (;;)
		pause();
}

static gboolean wake_up(gpointer user_data)
{
	return G_SOURCE_CONTINUE;
}

static gboolean stop_waiting(gpointer user_data)
{
	*(bool *)user_data = true;
	return G_SOURCE_REMOVE;
}

/* Waits until the main loop has reaped it. */
static void assert_goes(pid_t pid)
{
	bool is_late = false;
	guint limit = g_timeout_add_seconds(60, stop_waiting, &is_late);
	guint tick = g_timeout_add(10, wake_up, NULL);

	while (kill(pid, 0) == 0 && !is_late)
		g_main_context_iteration(NULL, TRUE);
	g_assert_false(is_late);
	g_assert_cmpint(errno, ==, ESRCH);
	g_source_remove(tick);
	g_source_remove(limit);
}

static void test_hangs(void)
{
	g_autoptr(SfErrands) errands = sf_errands_new();
	Result result = run(errands, hang, NULL, 100);
	pid_t pid;

	g_assert_false(result.is_whole);
	g_assert_cmpuint(result.output->len, ==, sizeof(pid));
	memcpy(&pid, result.output->data, sizeof(pid));
	assert_goes(pid);
	g_byte_array_unref(result.output);
}

static void write_for_ever(int fd, gpointer work_data)
{
	static const char zeros[65536];

	while (sf_errand_write(fd, zeros, sizeof(zeros)))
		;
}

static void test_bound(void)
{
	g_autoptr(SfErrands) errands = sf_errands_new();
	Result result = run(errands, write_for_ever, NULL, 0);

	g_assert_false(result.is_whole);
	g_assert_cmpuint(result.output->len, <=, 64 << 20);
	g_byte_array_unref(result.output);
}

static void list_fds(int fd, gpointer work_data)
{
	for (int i = 3; i < 64; i++)
		if (i != fd && fcntl(i, F_GETFD) >= 0)
			sf_errand_write(fd, "x", 1);
}

static void test_no_other_fds(void)
{
	g_autoptr(SfErrands) errands = sf_errands_new();
	int fds[2];
	Result result;

	g_assert_cmpint(pipe(fds), ==, 0);
	result = run(errands, list_fds, NULL, 0);
	g_assert_true(result.is_whole);
	g_assert_cmpuint(result.output->len, ==, 0);
	g_byte_array_unref(result.output);
	close(fds[0]);
	close(fds[1]);
}

static void nothing(int fd, gpointer work_data)
{
}

static void ignore(const GByteArray *output, bool is_whole, gpointer user_data)
{
	g_assert_not_reached();
}

/* So many may hang; one more is refused, until there is room again. */
static void test_number(void)
{
	g_autoptr(SfErrands) errands = sf_errands_new();
	Result result;

	for (int i = 0; i < 64; i++)
		sf_errand_start(errands, hang, NULL, 0, ignore, NULL);
	result = run(errands, nothing, NULL, 0);
	g_assert_false(result.is_whole);
	g_byte_array_unref(result.output);
}

static void write_to_kept(int fd, gpointer work_data)
{
	sf_errand_write(*(int *)work_data, "kept", 4);
}

static void test_kept_fd(void)
{
	g_autoptr(SfErrands) errands = sf_errands_new();
	Result result = {0};
	char text[5] = "";
	int fds[2];

	g_assert_cmpint(pipe(fds), ==, 0);
	sf_errand_start_with(errands, fds[1], write_to_kept, &fds[1], 0, on_done, &result);
	while (!result.output)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpint(read(fds[0], text, 4), ==, 4);
	g_assert_cmpstr(text, ==, "kept");
	g_byte_array_unref(result.output);
	close(fds[0]);
	close(fds[1]);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/errand/result", test_result);
	g_test_add_func("/errand/hangs", test_hangs);
	g_test_add_func("/errand/bound", test_bound);
	g_test_add_func("/errand/no-other-fds", test_no_other_fds);
	g_test_add_func("/errand/number", test_number);
	g_test_add_func("/errand/kept-fd", test_kept_fd);
	return g_test_run();
}
