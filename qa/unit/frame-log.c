/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of a frame as text, so that two ways to cut the same bytes can be compared. Called by the
 * frame's test and its fuzzer. */
#include "config.h"

#include <string.h>

#include "qa/unit/frame-log.h"

/* A piece of its own on the heap, so that a read past its end is seen. */
static void feed(SfFrame *frame, const uint8_t *piece, size_t len, GString *log)
{
	g_autofree uint8_t *copy = g_malloc(len);
	const uint8_t *data = copy;

	memcpy(copy, piece, len);
	for (;;) {
		g_autofree char *text = NULL;
		g_autoptr(GError) error = NULL;

		switch (sf_frame_next(frame, &data, &len, &text, &error)) {
		case SF_FRAME_MORE:
			g_assert_cmpuint(len, ==, 0);
			g_assert_null(text);
			g_assert_no_error(error);
			return;
		case SF_FRAME_MESSAGE:
			g_assert_no_error(error);
			g_string_append_printf(log, "message %s\n", text);
			break;
		case SF_FRAME_ERROR:
			g_assert_nonnull(error);
			g_assert_null(text);
			g_string_append_printf(log, "error %s\n", error->message);
			break;
		case SF_FRAME_RESET:
			g_assert_no_error(error);
			g_string_append(log, "reset\n");
			break;
		}
	}
}

char *sf_frame_log(const SfFrameLimits *limits, const uint8_t *data, size_t len,
		   const uint8_t *cuts, size_t n_cuts)
{
	g_autoptr(SfFrame) frame = sf_frame_new(limits);
	GString *log = g_string_new(NULL);
	size_t piece = 0;

	for (size_t at = 0; at < len; piece++) {
		size_t n = n_cuts > 0 ? (size_t)cuts[piece % n_cuts] + 1 : len;

		n = MIN(n, len - at);
		feed(frame, data + at, n, log);
		at += n;
	}
	if (sf_frame_is_half_read(frame))
		g_string_append(log, "half\n");
	return g_string_free(log, FALSE);
}
