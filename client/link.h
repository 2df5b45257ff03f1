/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/invocation.h"

/* The way to a guest's agent, which outlives its connection: one that broke is made anew with the
 * next call. */
typedef struct {
	SfInvocation *invocation; /* says which socket, and how long to wait */
	const char *domain; /* (nullable): libvirt's, which passes calls on in place of a socket */
	SfClient *client;   /* (nullable): NULL where there is no connection */
} SfLink;

/* Connects now rather than with the first call. Errors here and below: domain %SF_CLIENT_ERROR. */
bool sf_link_connect(SfLink *link, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_link_close(SfLink *link);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SfLink, sf_link_close)

/* Like sf_client_call(). A connection that is out of step afterwards is closed. */
JsonNode *sf_link_call(SfLink *link, const char *command, JsonObject *arguments,
		       unsigned int wait_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
