/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/channel.h"

/**
 * SfStream: moves bytes between a descriptor and a channel, never waiting. It listens for edges
 * (epoll), because a virtio port whose host side is closed is "ready" for as long as it is closed.
 */
typedef struct SfStream SfStream;

/* What it means that a read gives nothing. */
typedef enum {
	SF_STREAM_SOCKET, /* the peer has sent its last; it may still read */
	SF_STREAM_VIRTIO, /* the host closed its side, and may open it again */
	SF_STREAM_TTY,    /* the device is gone */
} SfStreamKind;

/* The stream is over and moves nothing any more: a socket whose peer is gone and whose requests are
 * answered (@reason NULL), or a lost device. The callee may free it. */
typedef void (*SfStreamEnded)(const char *reason, gpointer user_data);

/**
 * sf_stream_new:
 * @fd: (transfer full): non-blocking; also closed on failure
 * @channel: borrowed; its wake function is the stream's until it is freed
 * @error: domain %SF_ERROR
 *
 * Returns: (transfer full) (nullable): free with sf_stream_free()
 */
SfStream *sf_stream_new(int fd, SfStreamKind kind, SfChannel *channel, SfStreamEnded ended,
			gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_stream_free(SfStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfStream, sf_stream_free)

/* Reads no more from here on; replies still go out. */
void sf_stream_stop_reading(SfStream *stream);

/* For the exit, outside the main loop: writes what can be written now. Returns the descriptor to
 * wait on (POLLOUT) where more is left, or -1. */
int sf_stream_flush(SfStream *stream);
