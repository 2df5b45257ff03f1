/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/dispatch.h"

/**
 * SfChannel: the conversation with one host: bytes in, requests one at a time to dispatch, replies
 * out, strictly in order. It holds no descriptor; SfStream moves its bytes.
 */
typedef struct SfChannel SfChannel;

/* How much it holds at most, but for the reply that crosses the limit and one message. */
#define SF_CHANNEL_MAX_QUEUED 64
#define SF_CHANNEL_MAX_QUEUED_BYTES (16 * 1024 * 1024)
#define SF_CHANNEL_MAX_OUTPUT_BYTES (16 * 1024 * 1024)

/* There is something new to write, or room to read again. Comes from the main loop only, never from
 * within a call of the functions below or of dispatch; it may free the channel. */
typedef void (*SfChannelWake)(gpointer user_data);

/* @name is the channel's for dispatch and the log; several connections may have the same. @dispatch
 * is borrowed. */
SfChannel *sf_channel_new(const char *name, SfDispatch *dispatch);
/* A call that is under way goes on; its reply is dropped. */
void sf_channel_free(SfChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfChannel, sf_channel_free)

/* @wake: (nullable): who moves the bytes, now */
void sf_channel_set_wake(SfChannel *channel, SfChannelWake wake, gpointer user_data);

const char *sf_channel_get_name(const SfChannel *channel);

/* False while too much is queued or not yet written: then nobody should read on. */
bool sf_channel_wants_input(const SfChannel *channel);

/* Returns how many of the bytes were taken: all, unless it stopped wanting input on the way. */
size_t sf_channel_feed(SfChannel *channel, const uint8_t *data, size_t len);

/* (transfer none) (nullable): the next bytes to write. */
const uint8_t *sf_channel_output(const SfChannel *channel, size_t *out_len);
/* @len of them are written. */
void sf_channel_output_written(SfChannel *channel, size_t len);

/**
 * sf_channel_drop_peer:
 *
 * Whoever was at the other end is gone: what was not written yet, and the replies to whatever was
 * read until now, are for nobody. Whole requests are carried out all the same.
 */
void sf_channel_drop_peer(SfChannel *channel);

/* Forgets a half read message, as a new peer expects. */
void sf_channel_reset_input(SfChannel *channel);

/* Nothing queued, nothing under way, nothing to write. */
bool sf_channel_is_idle(const SfChannel *channel);
