/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/errand.h"
#include "agent/hook-process.h"
#include "agent/hooks.h"

/* What hooks.c (freeze), hooks-load.c and hooks-thaw.c share; nobody else includes it. */

typedef enum {
	SF_HOOKS_IDLE,
	SF_HOOKS_LOADING,
	SF_HOOKS_FREEZING,
	SF_HOOKS_THAWING,
} SfHooksPhase;

typedef struct SfHooksLoad SfHooksLoad;

struct SfHooks {
	SfHookSettings settings;
	SfRecord *record;
	SfHooksLost lost;
	gpointer lost_data;

	SfErrands *errands;
	SfHooksLoad *load; /* (nullable): that is waited for */
	GPtrArray *loads;  /* of SfHooksLoad: whose children have not ended */
	GPtrArray *list;   /* (nullable): of SfHook, those of this freeze */
	guint next;        /* of @list: which is to freeze */
	/* Of each hook in the record, in its order, the process that had told it to freeze; none
	 * where an earlier agent had. */
	SfHookProcess *processes[SF_RECORD_MAX_HOOKS];
	SfHookProcess *thawing; /* (nullable): that tells the last of them to thaw */
	GPtrArray *freezes, *thaws;
	SfHooksPhase phase;
	gint64 began_us; /* the step that is under way */
	SfHooksDone done;
	gpointer user_data;
};

guint sf_hooks_count_noted(const SfHooks *hooks);
SfHookLaunch sf_hooks_launch(SfHooks *hooks, guint index, const char *word);
/* Adds to @results what @process came to; without one only @trouble tells. */
void sf_hooks_add_result(SfHooks *hooks, GPtrArray *results, guint index,
			 const SfHookProcess *process, const char *trouble);
void sf_hooks_finish(SfHooks *hooks, const GError *error);
/* A process in @processes has changed while hooks are told to thaw. */
void sf_hooks_thaw_changed(SfHooks *hooks, SfHookProcess *process);
