/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "agent/freezer/core.h"
#include "agent/freezer/worker.h"

/* Has the kernel keep this process in memory, never kill it for want of some, and get it new memory
 * without waiting for a filesystem. Returns: whether all of it stays in memory, now and later */
bool sf_memory_lock(void);

/* The tables of a plan, half a megabyte: there and locked from the plan's arrival to its end.
 * Returns: 0, or -errno */
int sf_memory_lock_tables(struct sf_core *core, struct sf_workers *workers, bool needed);
