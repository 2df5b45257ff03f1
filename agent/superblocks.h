/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/mounts.h"
#include "agent/plan.h"

/**
 * sf_superblocks_find_unknown:
 *
 * Looks for superblocks that the kernel has (/sys/fs/{btrfs,ext4,f2fs,xfs}) and no mount of the
 * table shows: mounted in another namespace, or taken out of the tree while in use. Opens nothing
 * but sysfs, so it may be called while filesystems are frozen.
 *
 * Returns: (transfer full): of char*, such as "ext4 on vdb1" or "btrfs 6a7f…"
 */
GPtrArray *sf_superblocks_find_unknown(const SfPlanSource *source, const SfMounts *mounts);
