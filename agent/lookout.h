/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/namespaces.h"
#include "agent/plan.h"

/**
 * SfLookout: the plan of one freeze, and the mount tables that it was made from, watched until the
 * freeze is over. All of its functions take as long as there are tables and processes: seconds on a
 * machine of hundreds of containers. So it lives in a process of its own: agent/scout.h.
 */
typedef struct SfLookout SfLookout;

/* What became of the tables since they were read last. */
typedef enum {
	SF_TABLES_UNCHANGED,
	SF_TABLES_EQUAL, /* changed, and a plan of now is the same */
	SF_TABLES_OTHER, /* a plan of now is another one */
} SfTablesChange;

/* It goes with its process. @source must outlive it; @mountpoints: (nullable): as for
 * sf_plan_new(), the same */
SfLookout *sf_lookout_new(const SfPlanSource *source, const char *const *mountpoints);

/* Starts to watch, then reads and plans. Returns: (transfer none) (nullable) */
const SfPlan *sf_lookout_plan(SfLookout *lookout, GError **error);

/* Once there is a plan; the tables of now are the plan's where it is the same by them. */
bool sf_lookout_check(SfLookout *lookout, SfWhichProcesses which, SfTablesChange *out_change,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All of the plan is held open from now on: see sf_superblocks_find_held(). */
void sf_lookout_note_open(SfLookout *lookout);

/* (transfer full): of char*: what makes the snapshot less than it promises, seen right after the
 * last FIFREEZE, and what has come until right before the first FITHAW. */
GPtrArray *sf_lookout_after_freeze(SfLookout *lookout);
GPtrArray *sf_lookout_before_thaw(SfLookout *lookout);
