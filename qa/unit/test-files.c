/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/files: what hosts do with files of the guest. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files.h"

typedef struct {
	SfErrands *errands;
	SfFiles *files;
	char *folder, *path;
} Fixture;

typedef struct {
	bool is_done, is_at_end;
	char *error;
	int64_t handle, position;
	GString *data;
	size_t count;
} Result;

static void result_clear(Result *result)
{
	g_free(result->error);
	if (result->data)
		g_string_free(result->data, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->errands = sf_errands_new();
	fixture->files = sf_files_new(fixture->errands);
	fixture->folder = g_dir_make_tmp("snapfreeze-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "file", NULL);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	sf_files_free(fixture->files);
	sf_errands_free(fixture->errands);
	g_unlink(fixture->path);
	g_rmdir(fixture->folder);
	g_free(fixture->path);
	g_free(fixture->folder);
}

static void on_done(const SfFileResult *found, const GError *error, gpointer user_data)
{
	Result *result = user_data;

	g_assert_false(result->is_done);
	g_assert_true((found != NULL) != (error != NULL));
	result->is_done = true;
	if (error) {
		result->error = g_strdup(error->message);
		return;
	}
	result->handle = found->handle;
	result->position = found->position;
	result->count = found->count;
	result->is_at_end = found->is_at_end;
	result->data =
		g_string_new_len((const char *)found->data, found->data ? (gssize)found->count : 0);
}

static void wait_for(const Result *result)
{
	while (!result->is_done)
		g_main_context_iteration(NULL, TRUE);
}

static int64_t open_file(Fixture *fixture, const char *mode)
{
	g_auto(Result) result = {0};

	sf_files_open(fixture->files, fixture->path, mode, on_done, &result);
	wait_for(&result);
	g_assert_cmpstr(result.error, ==, NULL);
	return result.handle;
}

static void close_file(Fixture *fixture, int64_t handle)
{
	g_auto(Result) result = {0};

	sf_files_close(fixture->files, handle, on_done, &result);
	wait_for(&result);
	g_assert_cmpstr(result.error, ==, NULL);
	g_assert_false(sf_files_has(fixture->files, handle, NULL));
}

static void assert_read(Fixture *fixture, int64_t handle, size_t count, const char *expected,
			bool is_at_end)
{
	g_auto(Result) result = {0};

	sf_files_read(fixture->files, handle, count, on_done, &result);
	wait_for(&result);
	g_assert_cmpstr(result.error, ==, NULL);
	g_assert_cmpstr(result.data->str, ==, expected);
	g_assert_cmpuint(result.count, ==, strlen(expected));
	g_assert_cmpint(result.is_at_end, ==, is_at_end);
}

static void assert_write(Fixture *fixture, int64_t handle, const char *text, const char *error)
{
	g_auto(Result) result = {0};

	sf_files_write(fixture->files, handle, text, strlen(text), on_done, &result);
	wait_for(&result);
	g_assert_cmpstr(result.error, ==, error);
	if (!error)
		g_assert_cmpuint(result.count, ==, strlen(text));
}

static void assert_seek(Fixture *fixture, int64_t handle, int64_t offset, int whence,
			int64_t position)
{
	g_auto(Result) result = {0};

	sf_files_seek(fixture->files, handle, offset, whence, on_done, &result);
	wait_for(&result);
	if (position < 0)
		g_assert_nonnull(result.error);
	else
		g_assert_cmpint(result.position, ==, position);
}

static void assert_content(Fixture *fixture, const char *expected)
{
	g_autofree char *found = NULL;

	g_assert_true(g_file_get_contents(fixture->path, &found, NULL, NULL));
	g_assert_cmpstr(found, ==, expected);
}

static void test_read_and_write(Fixture *fixture, gconstpointer data)
{
	int64_t handle = open_file(fixture, "w+");
	struct stat info;

	assert_write(fixture, handle, "hello world", NULL);
	assert_content(fixture, "hello world");
	assert_seek(fixture, handle, 6, SEEK_SET, 6);
	/* Each goes on where the one before it has ended. */
	assert_read(fixture, handle, 3, "wor", false);
	assert_read(fixture, handle, 100, "ld", true);
	assert_read(fixture, handle, 0, "", false);
	assert_seek(fixture, handle, -2, SEEK_END, 9);
	assert_seek(fixture, handle, -4, SEEK_CUR, 5);
	assert_seek(fixture, handle, -100, SEEK_CUR, -1);
	assert_write(fixture, handle, "_", NULL);
	close_file(fixture, handle);
	assert_content(fixture, "hello_world");
	g_assert_cmpint(stat(fixture->path, &info), ==, 0);
	g_assert_cmpint(info.st_mode & 022, ==, 0);
}

static void test_modes(Fixture *fixture, gconstpointer data)
{
	int64_t handle = open_file(fixture, "wb");

	assert_write(fixture, handle, "one", NULL);
	close_file(fixture, handle);
	handle = open_file(fixture, "ab");
	assert_write(fixture, handle, "two", NULL);
	close_file(fixture, handle);
	assert_content(fixture, "onetwo");
	handle = open_file(fixture, "r+b");
	assert_write(fixture, handle, "ONE", NULL);
	assert_read(fixture, handle, 10, "two", true);
	close_file(fixture, handle);
	handle = open_file(fixture, "r");
	assert_write(fixture, handle, "x", "failed to write to file: Bad file descriptor");
	assert_read(fixture, handle, 10, "ONEtwo", true);
	close_file(fixture, handle);
	handle = open_file(fixture, "w");
	close_file(fixture, handle);
	assert_content(fixture, "");
}

static void assert_not_opened(Fixture *fixture, const char *path, const char *mode,
			      const char *expected)
{
	g_auto(Result) result = {0};

	sf_files_open(fixture->files, path, mode, on_done, &result);
	wait_for(&result);
	g_assert_cmpstr(result.error, ==, expected);
}

static void test_errors(Fixture *fixture, gconstpointer data)
{
	g_auto(Result) result = {0};

	assert_not_opened(fixture, "/nonexistent/file", "r",
			  "failed to open file '/nonexistent/file' (mode: 'r'): No such file or "
			  "directory");
	assert_not_opened(fixture, "/", "x", "invalid file open mode 'x'");
	assert_not_opened(fixture, "/", "", "invalid file open mode ''");
	assert_not_opened(fixture, "/", "r|rb", "invalid file open mode 'r|rb'");
	sf_files_read(fixture->files, 7, 1, on_done, &result);
	g_assert_cmpstr(result.error, ==, "handle '7' has not been found");
}

/* Neither a FIFO without a writer nor one without a reader holds anybody up. */
static void test_fifo(Fixture *fixture, gconstpointer data)
{
	int64_t handle;

	g_assert_cmpint(mkfifo(fixture->path, 0600), ==, 0);
	handle = open_file(fixture, "r");
	assert_read(fixture, handle, 1, "", true);
	close_file(fixture, handle);
}

static void test_number(Fixture *fixture, gconstpointer data)
{
	int64_t first = open_file(fixture, "w");

	for (int i = 1; i < 64; i++)
		g_assert_cmpint(open_file(fixture, "r"), ==, first + i);
	assert_not_opened(fixture, fixture->path, "r", "64 files are open already");
	close_file(fixture, first);
	g_assert_cmpint(open_file(fixture, "r"), ==, first + 64);
}

#define ADD(name, function) g_test_add("/files/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("read-and-write", test_read_and_write);
	ADD("modes", test_modes);
	ADD("errors", test_errors);
	ADD("fifo", test_fifo);
	ADD("number", test_number);
	return g_test_run();
}
