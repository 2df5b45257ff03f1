/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * SfFrame: turns the bytes of one channel into messages.
 *
 * It lexes and validates as it reads (grammar, UTF-8, escapes, equal keys, integers, depth), so
 * that what it hands out as a message is JSON that json-glib reads without loss, and names what is
 * wrong in the wire's words. It holds at most one half message; its memory goes back once that is
 * over.
 */
typedef struct SfFrame SfFrame;

typedef struct {
	size_t max_bytes;  /* of one message */
	size_t max_tokens; /* of one message; a string, number, keyword or punctuation mark is one
			    */
	unsigned int max_depth;
} SfFrameLimits;

/* 16 MiB, 2 million tokens, a depth of 1024: QEMU's own depth; the bytes bound what a host can make
 * us hold. */
extern const SfFrameLimits sf_frame_default_limits;

typedef enum {
	SF_FRAME_MORE,    /* all bytes are used up, no message is complete */
	SF_FRAME_MESSAGE, /* one whole JSON value */
	SF_FRAME_ERROR, /* a malformed or oversized one, told as soon as it is seen; the rest of it
			   is skipped, the next one is read afresh */
	SF_FRAME_RESET, /* 0xFF: the host starts afresh; what was half read is discarded */
} SfFrameEvent;

/* @limits is copied. Free with sf_frame_free(). */
SfFrame *sf_frame_new(const SfFrameLimits *limits);
void sf_frame_free(SfFrame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfFrame, sf_frame_free)

/* Forgets what is half read, as on a new connection. */
void sf_frame_reset(SfFrame *frame);

/* Whether a message is half read, one that was refused and is skipped included (white space between
 * messages is none). */
bool sf_frame_is_half_read(const SfFrame *frame);

/**
 * sf_frame_next:
 * @frame: the frame
 * @data: (inout): the bytes that came in; advanced past those used up
 * @len: (inout): how many are left
 * @out_text: (out) (transfer full): set with SF_FRAME_MESSAGE: the message, UTF-8, NUL-terminated
 *   (it holds no other NUL), in strict JSON (QEMU's single-quoted strings are turned into
 * double-quoted ones)
 * @error: set with SF_FRAME_ERROR, domain %SF_ERROR, with the wire's text
 *
 * Call it until it returns SF_FRAME_MORE. Linear in the number of bytes, however they are cut.
 */
SfFrameEvent sf_frame_next(SfFrame *frame, const uint8_t **data, size_t *len, char **out_text,
			   GError **error);
