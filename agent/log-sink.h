/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/log.h"
#include "agent/log-ring.h"

/* SfLogSink: where lines go, and what they look like there. Never blocks on anything but a regular
 * file. */
typedef struct {
	int fd; /* -1: nothing to write to, now */
	enum { SF_SINK_PLAIN, SF_SINK_JOURNAL, SF_SINK_SYSLOG } form;
	bool owns_fd;
	bool is_socket;
	char *syslog_path;
} SfLogSink;

typedef enum {
	SF_SINK_DONE,   /* *len bytes are out, perhaps not all */
	SF_SINK_FULL,   /* the reader does not read; try again later */
	SF_SINK_BROKEN, /* this line will never get out */
} SfLogSinkResult;

bool sf_log_sink_init(SfLogSink *sink, const SfLogSetup *setup,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_log_sink_clear(SfLogSink *sink);

/* Formats an entry into @line of @size bytes (PIPE_BUF suffices), newline included where the sink
 * wants one. Returns the length. */
size_t sf_log_sink_format(const SfLogSink *sink, const SfLogEntry *entry, const char *text,
			  char *line, size_t size);

/* Writes some of @line; @len (inout): how much there is, how much went. */
SfLogSinkResult sf_log_sink_write(SfLogSink *sink, const char *line, size_t *len);
