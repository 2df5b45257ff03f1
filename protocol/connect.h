/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * sf_connect:
 * @address: as sf_client_connect() takes it
 * @deadline_us: of g_get_monotonic_time()
 * @out_is_socket: (out): whether send() works on it
 * @error: domain %SF_CLIENT_ERROR
 *
 * Returns: a descriptor that does not block, or -1
 */
int sf_connect(const char *address, int64_t deadline_us, bool *out_is_socket,
	       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * sf_wait_fd:
 * @events: of poll()
 * @peer: who is waited for, for the error's text
 *
 * Returns: true where the descriptor is ready (or broken: the next call on it tells); false with
 * SF_CLIENT_ERROR_TIMEOUT
 */
bool sf_wait_fd(int fd, short events, const char *peer, int64_t deadline_us,
		GError **error) G_GNUC_WARN_UNUSED_RESULT;
