/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
	uint32_t cid, port;
} SfVsockAddress;

/* "CID:PORT"; a CID of -1 is any. */
bool sf_vsock_parse(const char *text, SfVsockAddress *out_address,
		    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Returns: a listening, non-blocking socket; -1 with @error (domain %SF_ERROR) */
int sf_vsock_listen(const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Both ends of a connection that was accepted. */
bool sf_vsock_get_ends(int fd, SfVsockAddress *out_own, SfVsockAddress *out_peer);

/**
 * sf_vsock_peer_is_trusted:
 *
 * The host is. This machine itself is (loopback) where the peer's port tells that it is root: any
 * process may use vsock, but only root the ports below 1024. A guest of this machine never is: its
 * root is not ours.
 */
bool sf_vsock_peer_is_trusted(const SfVsockAddress *own, const SfVsockAddress *peer);
