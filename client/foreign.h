/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "client/invocation.h"

/**
 * sf_foreign_thaw:
 * @mountpoint: where the frozen filesystem is mounted, on this machine
 * @error: domain %SF_CLIENT_ERROR where the agent does not answer, else %SF_ERROR: not root, not a
 * mount point, the agent's own freeze, not frozen
 *
 * Undoes one freeze, whoever made it, unless it is the agent's.
 */
bool sf_foreign_thaw(SfInvocation *invocation, const char *mountpoint,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;
