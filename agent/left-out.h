/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "agent/plan.h"

/* Whether the superblock that these mounts (of SfMount) belong to cannot or shall not be frozen,
 * and why. That it was not named is not asked here. */
bool sf_left_out_find_reason(const SfPlanSource *source, const GPtrArray *superblock,
			     SfLeftOutReason *out_reason);

SfLeftOut *sf_left_out_new(const GPtrArray *superblock, SfLeftOutReason reason);
void sf_left_out_free(SfLeftOut *left_out);

/* For an error: "pseudo filesystem". */
const char *sf_left_out_reason_text(SfLeftOutReason reason);
