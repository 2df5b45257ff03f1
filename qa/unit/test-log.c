/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/log: nothing is written while it is held, nothing waits for a reader, nothing is lost
 * without being counted. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "agent/log.h"
#include "protocol/error.h"

/* "2026-11-21T14:13:06.123Z" */
#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

typedef struct {
	int reader, writer;
	SfLog *log;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	SfLogSetup setup = {.target = SF_LOG_TO_STDERR};
	int ends[2];

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_assert_cmpint(fcntl(ends[0], F_SETFL, O_NONBLOCK), ==, 0);
	fixture->reader = ends[0];
	fixture->writer = ends[1];
	setup.fd = fixture->writer;
	setup.ring_bytes = GPOINTER_TO_SIZE(data);
	fixture->log = sf_log_new(&setup, NULL);
	g_assert_nonnull(fixture->log);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	sf_log_free(fixture->log);
	close(fixture->reader);
	close(fixture->writer);
}

static char *read_all(int fd)
{
	g_autoptr(GString) all = g_string_new(NULL);
	char buffer[4096];
	ssize_t len;

	while ((len = read(fd, buffer, sizeof(buffer))) > 0)
		g_string_append_len(all, buffer, len);
	return g_string_free(g_steal_pointer(&all), FALSE);
}

static void assert_reads(int fd, const char *pattern)
{
	g_autofree char *text = read_all(fd);
	g_autofree char *whole = g_strconcat("^", pattern, "$", NULL);

	if (!g_regex_match_simple(whole, text, 0, 0))
		g_error("'%s' does not look like '%s'", text, whole);
}

static void test_form(Fixture *fixture, gconstpointer data)
{
	sf_log_write(fixture->log, SF_LOG_WARNING, "one\n");
	sf_log_write(fixture->log, SF_LOG_INFO, "not verbose");
	sf_log_audit(fixture->log, "freeze by %s", "main");
	sf_log_write(fixture->log, SF_LOG_ERROR, "a\nb\x1b[0m");
	assert_reads(fixture->reader, TIME " warning: one\n" TIME " info: freeze by main\n" TIME
					   " error: a\\?b\\?\\[0m\n");
}

static void test_held(Fixture *fixture, gconstpointer data)
{
	sf_log_hold(fixture->log);
	sf_log_write(fixture->log, SF_LOG_WARNING, "first");
	sf_log_audit(fixture->log, "second");
	sf_log_flush(fixture->log);
	assert_reads(fixture->reader, "");
	g_assert_true(sf_log_is_pending(fixture->log));
	sf_log_release(fixture->log);
	assert_reads(fixture->reader, TIME " warning: first\n" TIME " info: second\n");
	g_assert_false(sf_log_is_pending(fixture->log));
}

/* The time is that of the entry, not that of its writing. */
static void test_own_time(Fixture *fixture, gconstpointer data)
{
	g_autofree char *text = NULL;
	g_autoptr(GDateTime) written = NULL;
	g_autoptr(GDateTime) released = NULL;

	sf_log_hold(fixture->log);
	sf_log_write(fixture->log, SF_LOG_WARNING, "early");
	g_usleep(20000); /* time itself is what is waited for */
	released = g_date_time_new_now_utc();
	sf_log_release(fixture->log);
	text = read_all(fixture->reader);
	*strchr(text, ' ') = 0;
	written = g_date_time_new_from_iso8601(text, NULL);
	g_assert_cmpint(g_date_time_difference(released, written), >=, 15000);
	g_assert_cmpint(g_date_time_difference(released, written), <, 5 * G_TIME_SPAN_SECOND);
}

static void test_overflow(Fixture *fixture, gconstpointer data)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	unsigned int count;
	unsigned int lost = 0;

	sf_log_hold(fixture->log);
	for (int i = 0; i < 1000; i++) {
		g_autofree char *entry = g_strdup_printf("entry %d", i);

		sf_log_write(fixture->log, SF_LOG_WARNING, entry);
	}
	sf_log_release(fixture->log);
	text = read_all(fixture->reader);
	lines = g_strsplit(g_strchomp(text), "\n", -1);
	count = g_strv_length(lines);
	lost = atoi(strchr(lines[0], '(') + 1);
	g_assert_cmpuint(lost + count - 1, ==, 1000);
	g_assert_cmpuint(count, >, 100);
	g_assert_true(g_str_has_suffix(lines[0], " entries were lost)"));
	/* The oldest went, the newest stayed, in their order. */
	for (unsigned int i = 1; i < count; i++) {
		g_autofree char *end = g_strdup_printf(" entry %u", lost + i - 1);

		g_assert_true(g_str_has_suffix(lines[i], end));
	}
}

static void fill_pipe(Fixture *fixture)
{
	g_assert_cmpint(fcntl(fixture->writer, F_SETPIPE_SZ, 4096), >=, 4096);
	g_assert_cmpint(fcntl(fixture->writer, F_SETFL, O_NONBLOCK), ==, 0);
	while (write(fixture->writer, "x", 1) == 1)
		continue;
	g_assert_cmpint(errno, ==, EAGAIN);
	/* As the log was given it: a write would wait. */
	g_assert_cmpint(fcntl(fixture->writer, F_SETFL, 0), ==, 0);
}

static void test_full_pipe(Fixture *fixture, gconstpointer data)
{
	fill_pipe(fixture);
	for (int i = 0; i < 10000; i++)
		sf_log_write(fixture->log, SF_LOG_WARNING, "nobody reads");
	g_assert_true(sf_log_is_pending(fixture->log));
	g_free(read_all(fixture->reader));
	/* The next entry finds that there is room, and takes what waited along. */
	sf_log_write(fixture->log, SF_LOG_WARNING, "end");
	for (;;) {
		g_autofree char *text = read_all(fixture->reader);

		if (!sf_log_is_pending(fixture->log)) {
			g_assert_true(g_str_has_suffix(text, " warning: end\n"));
			break;
		}
		g_assert_true(g_str_has_suffix(text, "\n"));
		sf_log_flush(fixture->log);
	}
}

static void test_full_pipe_counts(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GString) all = g_string_new(NULL);
	unsigned int seen = 0;
	g_auto(GStrv) lines = NULL;

	fill_pipe(fixture);
	for (int i = 0; i < 1000; i++)
		sf_log_write(fixture->log, SF_LOG_WARNING, "entry");
	g_free(read_all(fixture->reader));
	while (sf_log_is_pending(fixture->log)) {
		g_autofree char *text = NULL;

		sf_log_flush(fixture->log);
		text = read_all(fixture->reader);
		g_string_append(all, text);
	}
	lines = g_strsplit(g_strchomp(all->str), "\n", -1);
	for (char **line = lines; *line; line++) {
		const char *count = strstr(*line, ": (");

		seen += count ? atoi(count + 3) : 1;
		if (!count)
			g_assert_true(
				g_regex_match_simple("^" TIME " warning: entry$", *line, 0, 0));
	}
	g_assert_cmpuint(seen, ==, 1000);
}

/* A stream socket takes lines in part; what follows must not be mixed in. */
static void test_full_socket(void)
{
	SfLogSetup setup = {.target = SF_LOG_TO_STDERR};
	g_autoptr(SfLog) log = NULL;
	g_autoptr(GString) all = g_string_new(NULL);
	g_autofree char *long_text = g_strnfill(3000, 'y');
	g_auto(GStrv) lines = NULL;
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	g_assert_cmpint(fcntl(pair[0], F_SETFL, O_NONBLOCK), ==, 0);
	setup.fd = pair[1];
	log = sf_log_new(&setup, NULL);
	while (!sf_log_is_pending(log))
		sf_log_write(log, SF_LOG_WARNING, long_text);
	while (sf_log_is_pending(log)) {
		g_autofree char *text = read_all(pair[0]);

		g_string_append(all, text);
		sf_log_flush(log);
	}
	{
		g_autofree char *text = read_all(pair[0]);

		g_string_append(all, text);
	}
	lines = g_strsplit(g_strchomp(all->str), "\n", -1);
	for (char **line = lines; *line; line++)
		g_assert_true(g_regex_match_simple("^" TIME " warning: y{3000}$", *line, 0, 0));
	close(pair[0]);
	close(pair[1]);
}

static void test_broken_pipe(Fixture *fixture, gconstpointer data)
{
	close(fixture->reader);
	sf_log_write(fixture->log, SF_LOG_WARNING, "nobody will ever read");
	g_assert_false(sf_log_is_pending(fixture->log));
	fixture->reader = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void test_journal(void)
{
	SfLogSetup setup = {.target = SF_LOG_TO_STDERR, .verbose = true};
	g_autoptr(SfLog) log = NULL;
	g_autofree char *stream = NULL;
	struct stat status;
	int ends[2];

	g_assert_cmpint(pipe2(ends, O_CLOEXEC | O_NONBLOCK), ==, 0);
	g_assert_cmpint(fstat(ends[1], &status), ==, 0);
	stream = g_strdup_printf("%lu:%lu", (unsigned long)status.st_dev,
				 (unsigned long)status.st_ino);
	g_setenv("JOURNAL_STREAM", stream, TRUE);
	setup.fd = ends[1];
	log = sf_log_new(&setup, NULL);
	g_unsetenv("JOURNAL_STREAM");
	sf_log_write(log, SF_LOG_ERROR, "e");
	sf_log_write(log, SF_LOG_WARNING, "w");
	sf_log_write(log, SF_LOG_INFO, "i");
	sf_log_write(log, SF_LOG_DEBUG, "d");
	sf_log_hold(log);
	sf_log_write(log, SF_LOG_INFO, "late");
	sf_log_release(log);
	assert_reads(ends[0], "<3>e\n<4>w\n<6>i\n<7>d\n<6>\\[" TIME "\\] late\n");
	/* What a full pipe delayed is late too. */
	while (write(ends[1], "x", 1) == 1)
		continue;
	sf_log_write(log, SF_LOG_INFO, "stuck");
	g_free(read_all(ends[0]));
	sf_log_flush(log);
	assert_reads(ends[0], "<6>\\[" TIME "\\] stuck\n");
	close(ends[0]);
	close(ends[1]);
}

static void test_file(void)
{
	g_autofree char *folder = g_dir_make_tmp("sf-log-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "log", NULL);
	SfLogSetup setup = {.target = SF_LOG_TO_FILE, .path = path};
	g_autoptr(GError) error = NULL;
	struct stat status;
	int fd;

	for (int i = 0; i < 2; i++) {
		g_autoptr(SfLog) log = sf_log_new(&setup, NULL);

		sf_log_write(log, SF_LOG_WARNING, i ? "b" : "a");
	}
	g_assert_cmpint(stat(path, &status), ==, 0);
	g_assert_cmpint(status.st_mode & 0777, ==, 0600);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_reads(fd, TIME " warning: a\n" TIME " warning: b\n");
	close(fd);
	g_unlink(path);
	g_rmdir(folder);
	g_assert_null(sf_log_new(&setup, &error));
	g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
}

static int syslog_daemon(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

/* The daemon comes late, stops reading, and is started anew. */
static void test_syslog(void)
{
	g_autofree char *folder = g_dir_make_tmp("sf-log-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "log", NULL);
	SfLogSetup setup = {.target = SF_LOG_TO_SYSLOG, .path = path};
	g_autoptr(SfLog) log = sf_log_new(&setup, NULL);
	int fd;

	g_assert_nonnull(log);
	sf_log_write(log, SF_LOG_WARNING, "to nobody");
	fd = syslog_daemon(path);
	sf_log_write(log, SF_LOG_WARNING, "hello");
	assert_reads(fd,
		     "<28>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} snapfreeze-agent\\[[0-9]+\\]: hello");
	while (!sf_log_is_pending(log))
		sf_log_write(log, SF_LOG_WARNING, "fill");
	close(fd);
	g_unlink(path);
	sf_log_write(log, SF_LOG_WARNING, "gone");
	fd = syslog_daemon(path);
	sf_log_write(log, SF_LOG_WARNING, "again");
	{
		g_autofree char *text = read_all(fd);

		g_assert_true(g_str_has_suffix(text, ": again"));
	}
	close(fd);
	g_unlink(path);
	g_rmdir(folder);
}

/* GLib allows one writer per process: a process of its own. */
static void test_installed(void)
{
	SfLogSetup setup = {.target = SF_LOG_TO_STDERR, .fd = STDERR_FILENO};
	SfLog *log;

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		g_test_trap_assert_stdout_unmatched("*loud*");
		g_test_trap_assert_stderr("* info: loud message\n*"
					  "* info: loud print\n*"
					  "* info: loud printerr\n");
		g_test_trap_assert_stderr_unmatched("*held*");
		return;
	}
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	log = sf_log_new(&setup, NULL);
	sf_log_install(log);
	g_message("loud message");
	g_info("quiet info");
	g_print("loud print\n");
	g_printerr("loud printerr\n");
	sf_log_hold(log);
	g_message("held message");
	g_printerr("held printerr");
	sf_log_free(log);
}

#define ADD(name, ring_bytes, function) \
	g_test_add(name, Fixture, GSIZE_TO_POINTER(ring_bytes), set_up, function, tear_down)

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	alarm(60); /* where the log waits for a reader, the test dies */
	g_test_init(&argc, &argv, NULL);
	ADD("/log/form", 0, test_form);
	ADD("/log/nothing-while-held", 0, test_held);
	ADD("/log/own-time", 0, test_own_time);
	ADD("/log/overflow-is-counted", 8192, test_overflow);
	ADD("/log/full-pipe-never-blocks", 0, test_full_pipe);
	ADD("/log/full-pipe-counts", 8192, test_full_pipe_counts);
	ADD("/log/broken-pipe", 0, test_broken_pipe);
	g_test_add_func("/log/full-socket", test_full_socket);
	g_test_add_func("/log/journal", test_journal);
	g_test_add_func("/log/file", test_file);
	g_test_add_func("/log/syslog", test_syslog);
	g_test_add_func("/log/installed", test_installed);
	return g_test_run();
}
