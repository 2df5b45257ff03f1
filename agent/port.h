/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/dispatch.h"
#include "agent/stream.h"

/**
 * SfPort: a channel over a device that is opened by path, may be missing, and may get lost.
 */
typedef struct SfPort SfPort;

/* Opens the device without waiting; -1 with @error (domain %SF_ERROR). */
typedef int (*SfPortOpen)(const char *path, GError **error);

typedef struct {
	const char *name; /* of the channel */
	const char *path;
	SfPortOpen open;
	SfStreamKind kind;
	bool retry; /* wait for it where it is missing, open it again where it is lost */
} SfPortSetup;

/* The device is lost for good (there is no retry). */
typedef void (*SfPortLost)(gpointer user_data);

/* Requests that were read from a device that is lost meanwhile are still carried out. @error:
 * without @retry, the device cannot be opened. Free with sf_port_free(). */
SfPort *sf_port_new(const SfPortSetup *setup, SfDispatch *dispatch, SfPortLost lost,
		    gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_port_free(SfPort *port);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfPort, sf_port_free)

/* (nullable): while the device is open. */
SfStream *sf_port_get_stream(SfPort *port);
