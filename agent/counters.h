/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/plan.h"

/* The write counters of all devices of a plan's targets, held open. */
typedef struct SfCounters SfCounters;

/**
 * sf_counters_open:
 * @plan: only read now
 * @sys: "/sys"
 * @error: no descriptor is left
 *
 * A device whose counters the kernel does not show is no error: sf_counters_is_watched() tells.
 * Needs a descriptor per device; devices that targets share count once.
 *
 * Returns: (transfer full) (nullable): free with sf_counters_free()
 */
SfCounters *sf_counters_open(const SfPlan *plan, const char *sys,
			     GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_counters_free(SfCounters *counters);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfCounters, sf_counters_free)

/* Whether all devices of a target (by its index) are known, and @readings has their counters: a
 * disk that was taken away has none any more. */
bool sf_counters_is_watched(const SfCounters *counters, const GArray *readings, guint target);

/* (transfer full): what they say now, for sf_counters_compare(); free with g_array_unref(). Looks
 * up no path, so it may be called while filesystems are frozen. */
GArray *sf_counters_read(const SfCounters *counters);

/* (transfer full): of guint, ascending: the targets on whose devices something was written or
 * discarded between two readings, and those whose counters went away. */
GArray *sf_counters_compare(const SfCounters *counters, const GArray *before, const GArray *after);
