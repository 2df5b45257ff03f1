/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * SfLog: the agent's log. It never blocks its caller on a pipe, socket or terminal, and while it is
 * held it writes nothing anywhere: a log on a frozen disk would stop the very process that is to
 * thaw it. Entries wait in memory of a fixed size; when that is full the oldest go and are counted.
 * Thread-safe.
 */
typedef struct SfLog SfLog;

typedef enum { SF_LOG_ERROR, SF_LOG_WARNING, SF_LOG_INFO, SF_LOG_DEBUG } SfLogLevel;

typedef enum {
	SF_LOG_TO_STDERR, /* with priorities instead of times where it is journald's */
	SF_LOG_TO_FILE,
	SF_LOG_TO_SYSLOG,
} SfLogTarget;

typedef struct {
	SfLogTarget target;
	const char *path;  /* of the file, or of syslog's socket (NULL: /dev/log) */
	int fd;            /* of standard error (borrowed): STDERR_FILENO */
	bool verbose;      /* info and debug entries are written too */
	size_t ring_bytes; /* 0: 64 KiB */
} SfLogSetup;

/**
 * sf_log_new:
 * @setup: copied
 * @error: domain %SF_ERROR: the file cannot be opened; a syslog that is not there is no error
 *
 * The process must ignore SIGPIPE before it logs to a pipe.
 *
 * Returns: (transfer full) (nullable): free with sf_log_free(), after which GLib's messages go
 * where GLib sends them by itself
 */
SfLog *sf_log_new(const SfLogSetup *setup, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_log_free(SfLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfLog, sf_log_free)

/**
 * sf_log_install:
 *
 * From here on g_error … g_debug, g_print and g_printerr of the whole process come here; at most
 * once per process (GLib allows no more). g_message, g_print and g_printerr are informative but
 * always written, g_info and g_debug only when verbose.
 */
void sf_log_install(SfLog *log);

/* Nothing is written from here until sf_log_release(), which writes what came in between, each with
 * its own time. Holding twice is holding once. */
void sf_log_hold(SfLog *log);
void sf_log_release(SfLog *log);

/* Whether entries wait in memory, held or because the reader does not read. Writing is tried again
 * at the next entry, release, or sf_log_flush(). */
bool sf_log_is_pending(SfLog *log);
void sf_log_flush(SfLog *log);

/* One entry; control characters become '?', so that an entry is one line whatever a host sent. */
void sf_log_write(SfLog *log, SfLogLevel level, const char *text);

/* One line that says who did what, at info level, written even when not verbose. */
void sf_log_audit(SfLog *log, const char *format, ...) G_GNUC_PRINTF(2, 3);
