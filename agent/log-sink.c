/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log's far end: standard error, a file, or syslog's socket. Its invariant: no write that could
 * wait for a reader. syslog(3) is not used for that reason: it waits for as long as the daemon
 * behind /dev/log does. Called by agent/log, under its lock.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "agent/log-sink.h"
#include "protocol/error.h"

static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* Whether @fd is the stream that systemd says it gave us (JOURNAL_STREAM, systemd.exec(5)). */
static bool is_journal_stream(const struct stat *status)
{
	g_autofree char *own = g_strdup_printf("%lu:%lu", (unsigned long)status->st_dev,
					       (unsigned long)status->st_ino);

	return g_strcmp0(g_getenv("JOURNAL_STREAM"), own) == 0;
}

/* O_NONBLOCK on standard error itself would change it for whoever else has it. A second opening of
 * the same pipe or terminal is ours alone; where it is not to be had, poll must do. */
static int open_own(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_APPEND | O_CLOEXEC);
}

static void use_stderr(SfLogSink *sink, int fd)
{
	struct stat status;

	sink->fd = fd;
	if (fstat(fd, &status) < 0) {
		sink->fd = -1;
		return;
	}
	sink->is_socket = S_ISSOCK(status.st_mode);
	sink->form = is_journal_stream(&status) ? SF_SINK_JOURNAL : SF_SINK_PLAIN;
	if (S_ISFIFO(status.st_mode) || isatty(fd)) {
		int own = open_own(fd);

		if (own >= 0) {
			sink->fd = own;
			sink->owns_fd = true;
		}
	}
}

/* O_NONBLOCK for the case that the path is a FIFO or a terminal. */
static bool use_file(SfLogSink *sink, const char *path, GError **error)
{
	sink->fd =
		open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (sink->fd < 0)
		return sf_throw_errno(error, "open log file '%s'", path);
	sink->owns_fd = true;
	return true;
}

static void connect_syslog(SfLogSink *sink)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	g_strlcpy(address.sun_path, sink->syslog_path, sizeof(address.sun_path));
	sink->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sink->fd < 0)
		return;
	if (connect(sink->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return;
	close(sink->fd);
	sink->fd = -1;
}

bool sf_log_sink_init(SfLogSink *sink, const SfLogSetup *setup, GError **error)
{
	*sink = (SfLogSink){.fd = -1};
	switch (setup->target) {
	case SF_LOG_TO_STDERR:
		use_stderr(sink, setup->fd);
		return true;
	case SF_LOG_TO_FILE:
		return use_file(sink, setup->path, error);
	case SF_LOG_TO_SYSLOG:
		sink->form = SF_SINK_SYSLOG;
		sink->is_socket = true;
		sink->owns_fd = true;
		sink->syslog_path = g_strdup(setup->path ? setup->path : "/dev/log");
		connect_syslog(sink);
		return true;
	}
	return true;
}

void sf_log_sink_clear(SfLogSink *sink)
{
	if (sink->owns_fd && sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
	g_clear_pointer(&sink->syslog_path, g_free);
}

static void format_utc(int64_t time_us, char *out, size_t size)
{
	time_t seconds = time_us / G_USEC_PER_SEC;
	struct tm parts;
	size_t len;

	gmtime_r(&seconds, &parts);
	len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(out + len, size - len, ".%03dZ", (int)(time_us % G_USEC_PER_SEC / 1000));
}

/* syslog's own stamp, in local time, as RFC 3164 has it; the month's name must not follow a locale.
 */
static void format_syslog(int64_t time_us, char *out, size_t size)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = time_us / G_USEC_PER_SEC;
	struct tm parts;

	localtime_r(&seconds, &parts);
	snprintf(out, size, "%.3s %2d %02d:%02d:%02d", months + 3 * parts.tm_mon, parts.tm_mday,
		 parts.tm_hour, parts.tm_min, parts.tm_sec);
}

size_t sf_log_sink_format(const SfLogSink *sink, const SfLogEntry *entry, const char *text,
			  char *line, size_t size)
{
	char utc[64];
	char local[64];
	char late[80] = "";
	int text_len = entry->len;

	format_utc(entry->time_us, utc, sizeof(utc));
	/* journald and syslog stamp what they get with the time at which they get it. */
	if (entry->is_late)
		snprintf(late, sizeof(late), "[%s] ", utc);
	switch (sink->form) {
	case SF_SINK_JOURNAL:
		snprintf(line, size, "<%d>%s%.*s\n", priorities[entry->level], late, text_len,
			 text);
		break;
	case SF_SINK_SYSLOG:
		format_syslog(entry->time_us, local, sizeof(local));
		snprintf(line, size, "<%d>%s snapfreeze-agent[%d]: %s%.*s",
			 LOG_DAEMON | priorities[entry->level], local, (int)getpid(), late,
			 text_len, text);
		break;
	case SF_SINK_PLAIN:
		snprintf(line, size, "%s %s: %.*s\n", utc, level_names[entry->level], text_len,
			 text);
		break;
	}
	return strlen(line);
}

static bool is_writable(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLOUT};

	/* An error wins over "full": the write then tells which. */
	return poll(&poller, 1, 0) > 0;
}

SfLogSinkResult sf_log_sink_write(SfLogSink *sink, const char *line, size_t *len)
{
	ssize_t written;

	if (sink->fd < 0 && sink->syslog_path)
		connect_syslog(sink);
	if (sink->fd < 0)
		return SF_SINK_BROKEN;
	if (sink->is_socket)
		written = send(sink->fd, line, *len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (is_writable(sink->fd))
		written = write(sink->fd, line, *len);
	else
		return SF_SINK_FULL;
	if (written >= 0) {
		*len = written;
		return SF_SINK_DONE;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return SF_SINK_FULL;
	/* The daemon behind syslog's socket was started anew: the next line connects again. */
	if (sink->syslog_path) {
		close(sink->fd);
		sink->fd = -1;
	}
	return SF_SINK_BROKEN;
}
