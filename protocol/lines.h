/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/frame.h"

/* A connection whose other end answers in lines, each of them one JSON object. What comes is not
 * trusted: it goes through the checks of frame.h and its limits. */
typedef struct {
	int fd; /* does not block */
	bool is_socket;
	const char *peer; /* who is at the other end, for the errors' texts: "the agent" */
	const SfFrameLimits *limits;
	GByteArray *input; /* read and not yet used */
	size_t searched;   /* how many bytes of it are known to hold no end of line */
} SfLines;

/**
 * sf_lines_open:
 * @address: as sf_client_connect() takes it
 * @peer: not copied
 * @limits: not copied; a longer line is an error
 * @deadline_us: of g_get_monotonic_time(), here and below
 * @error: domain %SF_CLIENT_ERROR, here and below
 */
bool sf_lines_open(SfLines *lines, const char *address, const char *peer,
		   const SfFrameLimits *limits, int64_t deadline_us,
		   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Also of one that is all zeroes. */
void sf_lines_close(SfLines *lines);

bool sf_lines_write(SfLines *lines, const char *bytes, size_t len, int64_t deadline_us,
		    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Reads what there is; waits for the first byte of it. */
bool sf_lines_read(SfLines *lines, int64_t deadline_us, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether sf_lines_read() would not wait. */
bool sf_lines_is_ready(const SfLines *lines);
/* Whether there is something to read now, and not only the end. */
bool sf_lines_has_more(const SfLines *lines);

/* (transfer none) (nullable): where the next line ends within what was read */
const uint8_t *sf_lines_find_end(SfLines *lines);

/* (transfer full) (nullable): the line that ends there as an object; %NULL where it is none. It is
 * used up in either case. */
JsonObject *sf_lines_take(SfLines *lines, const uint8_t *end);

/* The next line as an object, waited for. */
JsonObject *sf_lines_next(SfLines *lines, int64_t deadline_us,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Forgets the first @len bytes of what was read. */
void sf_lines_drop(SfLines *lines, size_t len);

/* The deadline that is so far away. */
int64_t sf_deadline_after(unsigned int timeout_ms);

/* (transfer full) (nullable): @text as an object, by the same checks; it has nothing behind it */
JsonObject *sf_lines_parse(const SfFrameLimits *limits, const char *text, size_t len);
