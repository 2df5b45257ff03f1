/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "client/child.h"

/* Starts `virsh COMMAND --domain=DOMAIN WORD…`. @words: (nullable) ends with NULL. Errors: domain
 * %SF_ERROR where it cannot be started. */
SfChild *sf_virsh_start(const char *command, const char *domain, const char *const *words,
			GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* (transfer full): what it prints. Errors: domain %SF_ERROR, with virsh's own words. */
char *sf_virsh_run(const char *command, const char *domain, const char *const *words,
		   unsigned int timeout_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A command to the agent by way of libvirt. Errors as of sf_client_call(). @arguments: (nullable)
 * (transfer none) */
JsonNode *sf_virsh_call_agent(const char *domain, const char *command, JsonObject *arguments,
			      unsigned int timeout_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
