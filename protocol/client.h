/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

/**
 * SfClient: the host's end of a channel: one connection to an agent's socket, ours or QEMU's own
 * agent's. Blocking, with a deadline on everything. Not thread-safe.
 */
typedef struct SfClient SfClient;

#define SF_CLIENT_ERROR (sf_client_error_quark())
GQuark sf_client_error_quark(void);

typedef enum {
	SF_CLIENT_ERROR_CONNECT,  /* no connection, or it was closed */
	SF_CLIENT_ERROR_TIMEOUT,  /* no answer in time */
	SF_CLIENT_ERROR_PROTOCOL, /* what came back is no reply */
	SF_CLIENT_ERROR_REFUSED,  /* the agent answered an error; the message is "CLASS: DESC" */
} SfClientErrorCode;

/**
 * sf_client_connect:
 * @address: path of a Unix socket ("unix:PATH" too), "vsock:CID:PORT", or path of a character
 * device (a virtio port's host side may be a pty)
 * @timeout_ms: of the connection itself
 * @error: domain %SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT or _TIMEOUT
 *
 * Returns: (transfer full) (nullable): the connection, free with sf_client_free()
 */
SfClient *sf_client_connect(const char *address, unsigned int timeout_ms,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_client_free(SfClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfClient, sf_client_free)

/**
 * sf_client_sync:
 *
 * 0xFF, then guest-sync-delimited with a random id; whatever comes before its answer (garbage, half
 * a line, replies to somebody who gave up) is skipped.
 */
bool sf_client_sync(SfClient *client, unsigned int timeout_ms,
		    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * sf_client_call:
 * @arguments: (nullable) (transfer none)
 * @timeout_ms: until the whole reply is there
 * @error: domain %SF_CLIENT_ERROR; after anything but SF_CLIENT_ERROR_REFUSED the connection must
 * be synced anew: until then every call fails with SF_CLIENT_ERROR_PROTOCOL and sends nothing
 *
 * Returns: (transfer full) (nullable): the reply's "return"
 */
JsonNode *sf_client_call(SfClient *client, const char *command, JsonObject *arguments,
			 unsigned int timeout_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
