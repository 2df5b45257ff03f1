/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What every fuzzer defines and libFuzzer, or replay.c, calls: one input; it aborts where something
 * does not hold. Returns: 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
