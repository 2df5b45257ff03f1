/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/plan.h"

/**
 * SfScout: a process that reads the mount tables of one freeze, plans, and keeps watch over them
 * until the freeze is over. Where there are hundreds of namespaces or thousands of processes each
 * look takes seconds, in which the agent has channels, signals and timers to serve.
 *
 * A process and not a thread: a thread that hangs in the kernel would keep the agent from dying,
 * and with it the socket whose end tells the freezer to thaw; and whoever forks meanwhile (hooks,
 * openers) would get the locks that it holds. Besides, the tables' memory goes back with it.
 */
typedef struct SfScout SfScout;

typedef enum {
	SF_SCOUT_PLAN = 'p',          /* SF_PLAN_VARIANT_TYPE */
	SF_SCOUT_CHECK_OPENED = 'o',  /* "y", an SfTablesChange; the plan is held open by now */
	SF_SCOUT_CHECK_FLUSHED = 'f', /* the same; all processes are looked at */
	SF_SCOUT_AFTER_FREEZE = 'a',  /* "aay": reasons; see sf_lookout_after_freeze() */
	SF_SCOUT_BEFORE_THAW = 'b',   /* the same */
	SF_SCOUT_WAYS = 'w',          /* SF_SCOUT_WAYS_TYPE: to the devices that were named */
} SfScoutQuestion;

/* A plan of nothing but targets, and (empty: none) why there is none for some device. */
#define SF_SCOUT_WAYS_TYPE "(" SF_PLAN_VARIANT_TYPE "ay)"

/**
 * SfScoutDone:
 * @answer: (nullable): of the question's type
 * @error: (nullable): why there is none: what the look itself ran into, or that it was not done in
 * time, or that the process has ended
 *
 * Called once, from the main loop, unless the scout is freed before.
 */
typedef void (*SfScoutDone)(GVariant *answer, const GError *error, gpointer user_data);

/**
 * sf_scout_start:
 * @mountpoints: (nullable): to plan, as for sf_plan_new()
 * @devices: (nullable) (element-type SfDevice): to find the ways to
 * @error: domain %SF_ERROR: the process does not start
 *
 * All that is given is read by the process only: it has a copy.
 */
SfScout *sf_scout_start(const SfPlanSource *source, const char *const *mountpoints,
			const GArray *devices, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Ends the process, whatever it is at. May be called by an SfScoutDone. */
void sf_scout_free(SfScout *scout);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfScout, sf_scout_free)

/* One question at a time. Who was not answered in @timeout_ms gets an error, and so do all who ask
 * later. */
void sf_scout_ask(SfScout *scout, SfScoutQuestion question, unsigned int timeout_ms,
		  SfScoutDone done, gpointer user_data);
bool sf_scout_is_asked(const SfScout *scout);
