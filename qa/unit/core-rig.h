/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/freezer/core.h"

/* A driver that plays the freezer's threads and its clock. */

/* The machine is half a megabyte: on the heap. */
typedef struct {
	struct sf_core *core;
	struct sf_clock now;
	GArray *order; /* of unsigned: starts of freezes and thaws, in order; thaws have 1000 added
			*/
	uint32_t last_tell;
	struct sf_tell tells[64];
	unsigned int tell_count;
	bool is_forgotten, has_left;
	bool has_restored; /* the limits of dirty memory, at the last event */
} Rig;

/* Takes note of what the core asks for after an event. */
void rig_hear(Rig *rig);
/* A message of the agent's. Returns: whether it was taken. */
bool rig_say(Rig *rig, struct sf_message message, unsigned int fd_count);
/* The thread of a target is done with what it was given. */
void rig_done(Rig *rig, unsigned int index, int error);
/* Time passes, on both clocks. */
void rig_pass(Rig *rig, uint64_t ms);
/* (nullable): the last that was told of this kind. */
const struct sf_tell *rig_told(const Rig *rig, uint32_t kind);
/* A plan that was loaded; @barrier: -1: none is. */
Rig *rig_new(unsigned int count, unsigned int parallel, const struct sf_edge *edges,
	     unsigned int edge_count, int barrier);
void rig_free(Rig *rig);
/* Flushes all, and has it done. */
void rig_flush(Rig *rig);
void rig_begin_freeze(Rig *rig);
/* One without edges, all of it frozen. */
Rig *rig_frozen(unsigned int count);
void rig_finish_thaws(Rig *rig);
/* Compares the starts from @from on with a list that ends with -1. */
void assert_order(const Rig *rig, guint from, const int *expected);
