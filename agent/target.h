/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/plan.h"

/**
 * sf_target_new:
 * @superblock: of SfMount, all mounts of one superblock, in table order
 * @error: where no path leads to any of them that can be looked up without danger
 *
 * Returns: (transfer full) (nullable): with @devices empty
 */
SfTarget *sf_target_new(const GPtrArray *superblock, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Of what another process has found; the caller fills it in. */
SfTarget *sf_target_new_empty(void);

/* (transfer full): how a mount is called here: "/data", or "/proc/812/root/data" where another
 * namespace has it. */
char *sf_target_spell(const SfNamespace *space, const char *path);

/* Closes @fd too. */
void sf_target_free(SfTarget *target);

void sf_target_close(SfTarget *target);
