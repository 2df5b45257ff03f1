/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/mounts.h"

/**
 * sf_visibility_mark:
 * @mounts: of SfMount, in table order
 *
 * Works out @visible, @is_behind_remote and @is_behind_autofs from ids, parents and paths.
 * O(n log n) at worst, and a damaged table (parents in a ring, an id twice) does no harm.
 */
void sf_visibility_mark(const GPtrArray *mounts);
