/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/capability.h>
#include <stdint.h>

#define SF_CAPABILITY(number) (UINT64_C(1) << (number))

/*
 * Gives up all but @wanted of what the calling thread has; a program that it runs inherits none.
 * For the freezer, and for the agent's children that run no program: async-signal-safe.
 */
void sf_capabilities_keep(uint64_t wanted);
