/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/commands/fsinfo-table.h"

/* From this length on a mount table is kept, and for how long. */
#define SF_FSINFO_CACHE_MIN_MOUNTS 1000
#define SF_FSINFO_CACHE_SECONDS 60

/* The mount table between two calls of guest-get-fsinfo. */
typedef struct SfFsinfoCache SfFsinfoCache;

/* @seconds: how long a table is kept, %SF_FSINFO_CACHE_SECONDS but in tests. */
SfFsinfoCache *sf_fsinfo_cache_new(guint seconds);
void sf_fsinfo_cache_free(SfFsinfoCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfFsinfoCache, sf_fsinfo_cache_free)

/**
 * sf_fsinfo_cache_get:
 * @mountinfo: always the same file, such as "/proc/self/mountinfo"
 *
 * The table as it is now: read, or the one read before, where that is kept and the kernel knows of
 * no mount, unmount or remount since. What it does not tell of (a folder above a mount point that
 * is called another name, a btrfs that is moved to another disk) is seen when the time is over.
 *
 * Returns: (transfer full) (nullable): free with sf_fsinfo_table_unref()
 */
SfFsinfoTable *sf_fsinfo_cache_get(SfFsinfoCache *cache, const char *mountinfo,
				   GError **error) G_GNUC_WARN_UNUSED_RESULT;
