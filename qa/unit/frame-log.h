/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "protocol/frame.h"

/**
 * sf_frame_log:
 * @cuts: (nullable): one byte per piece: how long it is, less 1; after the last one from the
 * beginning; %NULL: one piece
 *
 * Returns: (transfer full): what a frame says to @data, a line per event: "message TEXT",
 * "error DESC", "reset"; at the end "half" where a message is half read
 */
char *sf_frame_log(const SfFrameLimits *limits, const uint8_t *data, size_t len,
		   const uint8_t *cuts, size_t n_cuts);
