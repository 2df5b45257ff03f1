/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/freezer/core.h"

/* Who waits for whom: an edge says that one target is frozen before another, and thawed after it; a
 * barrier says so to all that come later. */

/* Adds an edge of the plan, whose bounds were checked. */
void sf_gates_add(struct sf_core *core, struct sf_edge edge);

/* Whether what @index depends on is still at work. All of it has been begun. */
bool sf_gates_freeze_must_wait(const struct sf_core *core, unsigned int index);
/* Whether something that was frozen before @index is still to be thawed; nobody waits for what is
 * slow. */
bool sf_gates_thaw_must_wait(const struct sf_core *core, unsigned int index);
