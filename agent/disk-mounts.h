/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/mounts.h"

/* (transfer full): the first mount of each superblock that lies on block devices, in the order of
 * the table; those of a network have no disk. */
GPtrArray *sf_disk_mounts_new(const SfMounts *mounts);

/* (nullable): a path to @mount's superblock, rather one that leads past no other machine; %NULL
 * where other mounts cover all of its. */
const char *sf_disk_mounts_path(const SfMounts *mounts, const SfMount *mount);
