/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's log. Every entry goes through the ring: what can be written leaves it at once, what
 * cannot (held, or a reader that does not read) stays. Invariant: entries are written in the order
 * in which they came, a line is never mixed with another, and no call waits. Owned by agent.c.
 */
#include "config.h"

#include <limits.h>
#include <string.h>

#include "agent/log.h"
#include "agent/log-ring.h"
#include "agent/log-sink.h"
#include "protocol/error.h"

#define DEFAULT_RING_BYTES (64 * 1024)

/* What GLib keeps for as long as the process lives; @log is NULL once it is freed. */
typedef struct {
	SfLog *log;
} Anchor;

struct SfLog {
	GMutex lock;
	SfLogRing *ring;
	SfLogSink sink;
	bool is_held;
	bool verbose;
	Anchor *anchor;      /* (nullable): not owned */
	char line[PIPE_BUF]; /* the line that is on its way out */
	size_t line_len, line_done;
};

G_STATIC_ASSERT(SF_LOG_MAX_TEXT + 128 < PIPE_BUF);

SfLog *sf_log_new(const SfLogSetup *setup, GError **error)
{
	SfLog *log = g_new0(SfLog, 1);

	g_mutex_init(&log->lock);
	log->verbose = setup->verbose;
	log->ring = sf_log_ring_new(setup->ring_bytes ? setup->ring_bytes : DEFAULT_RING_BYTES);
	if (!sf_log_sink_init(&log->sink, setup, error)) {
		sf_log_free(log);
		return NULL;
	}
	return log;
}

void sf_log_free(SfLog *log)
{
	if (!log)
		return;
	sf_log_flush(log);
	if (log->anchor)
		log->anchor->log = NULL;
	sf_log_ring_free(log->ring);
	sf_log_sink_clear(&log->sink);
	g_mutex_clear(&log->lock);
	g_free(log);
}

/* Sends what is left of the line. False: it must wait. */
static bool finish_line(SfLog *log)
{
	while (log->line_done < log->line_len) {
		size_t len = log->line_len - log->line_done;

		switch (sf_log_sink_write(&log->sink, log->line + log->line_done, &len)) {
		case SF_SINK_DONE:
			log->line_done += len;
			if (log->sink.form == SF_SINK_SYSLOG)
				log->line_done = log->line_len;
			break;
		case SF_SINK_FULL:
			return false;
		case SF_SINK_BROKEN:
			log->line_done = log->line_len;
			break;
		}
	}
	return true;
}

/* Takes the line back where nothing of it is out, so that it can be written with its time. */
static bool send_line(SfLog *log, const SfLogEntry *entry, const char *text)
{
	log->line_len = sf_log_sink_format(&log->sink, entry, text, log->line, sizeof(log->line));
	log->line_done = 0;
	if (finish_line(log) || log->line_done > 0)
		return true;
	log->line_len = 0;
	return false;
}

static bool send_lost(SfLog *log)
{
	unsigned int lost = sf_log_ring_take_lost(log->ring);
	SfLogEntry entry = {.time_us = g_get_real_time(), .level = SF_LOG_WARNING};
	char text[64];

	if (!lost)
		return true;
	entry.len = g_snprintf(text, sizeof(text), "(%u entries were lost)", lost);
	if (send_line(log, &entry, text))
		return true;
	sf_log_ring_add_lost(log->ring, lost);
	return false;
}

static void drain(SfLog *log)
{
	char text[SF_LOG_MAX_TEXT];
	SfLogEntry entry;

	if (log->is_held)
		return;
	while (finish_line(log) && send_lost(log) && sf_log_ring_peek(log->ring, &entry, text)) {
		if (!send_line(log, &entry, text))
			break;
		sf_log_ring_pop(log->ring);
	}
	sf_log_ring_mark_late(log->ring);
}

static void push(SfLog *log, SfLogLevel level, const char *text)
{
	SfLogEntry entry = {
		.time_us = g_get_real_time(),
		.len = MIN(strlen(text), SF_LOG_MAX_TEXT),
		.level = level,
		.is_late = log->is_held,
	};
	char clean[SF_LOG_MAX_TEXT];

	while (entry.len > 0 && text[entry.len - 1] == '\n')
		entry.len--;
	for (size_t i = 0; i < entry.len; i++)
		clean[i] = g_ascii_iscntrl(text[i]) ? '?' : text[i];
	sf_log_ring_push(log->ring, &entry, clean);
}

static void write_entry(SfLog *log, SfLogLevel level, const char *text)
{
	g_mutex_lock(&log->lock);
	push(log, level, text);
	drain(log);
	g_mutex_unlock(&log->lock);
}

void sf_log_write(SfLog *log, SfLogLevel level, const char *text)
{
	if (log->verbose || level <= SF_LOG_WARNING)
		write_entry(log, level, text);
}

void sf_log_audit(SfLog *log, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	write_entry(log, SF_LOG_INFO, text);
}

void sf_log_hold(SfLog *log)
{
	g_mutex_lock(&log->lock);
	log->is_held = true;
	g_mutex_unlock(&log->lock);
}

void sf_log_release(SfLog *log)
{
	g_mutex_lock(&log->lock);
	log->is_held = false;
	drain(log);
	g_mutex_unlock(&log->lock);
}

bool sf_log_is_pending(SfLog *log)
{
	bool pending;

	g_mutex_lock(&log->lock);
	pending = log->line_done < log->line_len || !sf_log_ring_is_empty(log->ring);
	g_mutex_unlock(&log->lock);
	return pending;
}

void sf_log_flush(SfLog *log)
{
	g_mutex_lock(&log->lock);
	drain(log);
	g_mutex_unlock(&log->lock);
}

static const char *find_field(const GLogField *fields, gsize count, const char *key)
{
	for (gsize i = 0; i < count; i++)
		if (!strcmp(fields[i].key, key) && fields[i].length < 0)
			return fields[i].value;
	return NULL;
}

static GLogWriterOutput take_structured(GLogLevelFlags flags, const GLogField *fields, gsize count,
					gpointer user_data)
{
	Anchor *anchor = user_data;
	const char *text = find_field(fields, count, "MESSAGE");
	const char *domain = find_field(fields, count, "GLIB_DOMAIN");

	if (!anchor->log)
		return g_log_writer_default(flags, fields, count, NULL);
	if (!text)
		return G_LOG_WRITER_HANDLED;
	if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		write_entry(anchor->log, SF_LOG_ERROR, text);
	else if (flags & G_LOG_LEVEL_WARNING)
		write_entry(anchor->log, SF_LOG_WARNING, text);
	else if (flags & G_LOG_LEVEL_MESSAGE)
		write_entry(anchor->log, SF_LOG_INFO, text);
	else if (!g_strcmp0(domain, G_LOG_DOMAIN)) /* the libraries' own chatter is nobody's */
		sf_log_write(anchor->log, flags & G_LOG_LEVEL_INFO ? SF_LOG_INFO : SF_LOG_DEBUG,
			     text);
	return G_LOG_WRITER_HANDLED;
}

/* GLib hands these handlers no data, so they take the way through its log. */
static void take_print(const char *text)
{
	g_message("%s", text);
}

void sf_log_install(SfLog *log)
{
	log->anchor = g_new0(Anchor, 1);
	log->anchor->log = log;
	g_log_set_writer_func(take_structured, log->anchor, g_free);
	g_set_print_handler(take_print);
	g_set_printerr_handler(take_print);
}
