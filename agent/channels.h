/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/configuration.h"
#include "agent/dispatch.h"

/**
 * SfChannels: all the ways in which a host can reach the agent, as the configuration has them.
 */
typedef struct SfChannels SfChannels;

/* The last channel is lost, and none is waited for: there is nothing left to do. */
typedef void (*SfChannelsLost)(gpointer user_data);

/**
 * sf_channels_open:
 * @config: borrowed
 * @dispatch: borrowed
 * @lost: called from the main loop; it must not free the channels right there
 * @error: domain %SF_ERROR: names the channel and the path
 *
 * Where a socket was inherited (LISTEN_FDS, LISTEN_PID; descriptors that do not listen, such as
 * those of the FD store, are left alone) it is the main channel, whatever the configuration says.
 *
 * Returns: (transfer full) (nullable): free with sf_channels_free(), before dispatch
 */
SfChannels *sf_channels_open(const SfConfig *config, SfDispatch *dispatch, SfChannelsLost lost,
			     gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_channels_free(SfChannels *channels);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfChannels, sf_channels_free)

/* Reads no request more, and lets no client in. */
void sf_channels_stop_reading(SfChannels *channels);

/* For the exit: waits at most @timeout_ms until every reply that was made is written. A peer that
 * does not read keeps no other waiting. Returns whether all are out. */
bool sf_channels_flush(SfChannels *channels, unsigned int timeout_ms);
