/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/dispatch.h"

/**
 * SfListener: a listening socket and the clients that came through it, each a connection with a
 * parser of its own; all of them are the same channel to dispatch.
 */
typedef struct SfListener SfListener;

/* More are turned away. */
#define SF_LISTENER_MAX_CLIENTS 64

/* @error: domain %SF_ERROR. Free with sf_listener_free(). */
SfListener *sf_listener_new_unix(const char *name, const char *path, SfDispatch *dispatch,
				 GError **error) G_GNUC_WARN_UNUSED_RESULT;
SfListener *sf_listener_new_vsock(const char *name, const char *address, SfDispatch *dispatch,
				  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* @fd: (transfer full): a socket that listens already, Unix or vsock; its file is not ours to
 * remove */
SfListener *sf_listener_new_from_fd(const char *name, int fd, SfDispatch *dispatch,
				    GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_listener_free(SfListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfListener, sf_listener_free)

/* Appends the SfStream (not owned) of each client. */
void sf_listener_get_streams(SfListener *listener, GPtrArray *streams);
/* Lets no more clients in. */
void sf_listener_stop(SfListener *listener);
