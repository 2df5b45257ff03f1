/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/plan.h"

/**
 * sf_named_find:
 * @mounts: as sf_namespaces_read() gives them
 * @paths: mount points. One that the own namespace does not have may be another's: as it is spelled
 * there, if only one has it, or below a "/proc/PID/root" whatever others have
 * @error: domain %SF_ERROR: an unknown or ambiguous path, or one that cannot be frozen, with the
 * reason
 *
 * Returns: (transfer full) (nullable): a set of SfDevice*, which point into @mounts
 */
GHashTable *sf_named_find(const SfPlanSource *source, const SfMounts *mounts,
			  const char *const *paths, GError **error) G_GNUC_WARN_UNUSED_RESULT;
