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
 * @held: (nullable): as sf_superblocks_find_held() told; these are not looked up again
 *
 * Returns: (transfer full): of char*, such as "ext4 on vdb1" or "btrfs 6a7f…"
 */
GPtrArray *sf_superblocks_find_unknown(const SfPlanSource *source, const SfMounts *mounts,
				       GHashTable *held);

/**
 * sf_superblocks_find_held:
 * @plan: whose targets are all held open, here or by whom this is asked for
 *
 * While a superblock is held open its name in sysfs stays its own: no other can have that device.
 * So what was looked up once, before anything is frozen, need not be while writers wait.
 *
 * Returns: (transfer full): a set of char*, named as above
 */
GHashTable *sf_superblocks_find_held(const SfPlanSource *source, const SfPlan *plan);
