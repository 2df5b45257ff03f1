/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/dispatch.h"

/* What the agent keeps of root's rights once it has started: SECURITY.md lists the same. */
typedef struct {
	guint64 own;        /* capabilities of this process and of its children, by number */
	bool runs_programs; /* others than the freezer, as root: those get all that root has */
} SfPrivileges;

/**
 * sf_privileges_needed:
 * @dispatch: says which commands can be called
 * @has_hooks: whether hooks may be run
 *
 * Returns: what it takes to freeze, and what these commands take
 */
SfPrivileges sf_privileges_needed(const SfDispatch *dispatch, bool has_hooks);

/**
 * sf_privileges_limit:
 * @error: domain %SF_ERROR: the process has more than it needs
 *
 * Gives up every capability that is not needed. Where no programs are run, the way back to them too
 * (no_new_privs, and of the bounding set all but what the next freezer needs to start, which stays
 * permitted, too, but not in effect). An agent that is not root keeps what it was started with. For
 * a process that has no threads yet.
 */
bool sf_privileges_limit(const SfPrivileges *needed, GError **error) G_GNUC_WARN_UNUSED_RESULT;
