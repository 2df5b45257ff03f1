/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/evidence.h"
#include "agent/freezer-link.h"
#include "agent/preparation.h"
#include "agent/recovery.h"
#include "agent/rescue.h"
#include "agent/service-manager.h"
#include "agent/session.h"

/* What session.c (events and what they do), session-freezer.c (the freezer's), session-requests.c
 * (who asks, who looks), session-close.c (a freeze's end) and session-recovery.c (without a
 * freezer) share; nobody else includes it. */

struct SfSession {
	SfSessionSettings settings;
	SfRecord *record;
	SfLog *log;
	void (*leave)(gpointer);
	gpointer leave_data;

	SfState state;
	SfOutcome outcome;
	SfFreezerLink *link; /* NULL where the freezer is gone; the next freeze starts a new one */
	SfRescue *rescue;
	SfRecovery *recovery;
	SfThrottle *throttle;
	SfServiceManager *manager;
	SfPreparation *preparation;
	SfHooks *hooks;
	SfPlan *plan;
	SfEvidence *evidence;
	GError *failure; /* why the freeze that is ending failed */
	char *command;
	char *thawing_channel;
	SfWaiters waiters;
	guint retry_source, leave_source, release_source, drop_source;
	unsigned int frozen_count;
	unsigned int heard_frozen; /* how many the freezer says, until the tables are looked at */
	uint64_t lease_s;          /* that the freeze was asked for; 0: the longest */
	uint64_t deadline_ms;      /* CLOCK_BOOTTIME, while it is frozen */
	uint64_t flush_ms, freeze_ms;
};

/* Feeds an event to the transitions and carries out what they say. */
void sf_session_handle(SfSession *session, SfEvent event);
/* Begins to prepare a freeze; @error: the freezer does not start. */
void sf_session_prepare(SfSession *session, const SfFreezeRequest *request, GError **error);
/* Has the service manager watch us while anything is under way: freezing, frozen, or hooks that
 * hold an application still. */
void sf_session_update_watch(SfSession *session);
/* Why the freeze that is under way fails; the first reason stays. */
void sf_session_set_failure(SfSession *session, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Of the target with that index in the plan; "?" where there is none. */
const char *sf_session_mountpoint(const SfSession *session, int index);
/* A session hook does not hold any more; @user_data: the session. */
void sf_session_lose_hook(const char *why, gpointer user_data);
/* Starts one where there is none. */
bool sf_session_ensure_freezer(SfSession *session, GError **error);
/* Lets go of all that the freeze held but its hooks, once nothing is frozen any more. */
void sf_session_close(SfSession *session);
/* Tells hooks to thaw. */
void sf_session_release(SfSession *session);
/* A thaw is under way that may last as long as a dead disk does: after @ms, whoever waits for its
 * end is answered all the same. The first call counts, until the thaw has ended. */
void sf_session_bound_thaw(SfSession *session, unsigned int ms);
void sf_session_unbound_thaw(SfSession *session);
/* Thaws by the record, since the freezer is gone. */
void sf_session_rescue(SfSession *session);
/* At the start: thaws what an earlier agent left; or only tells its hooks so. */
void sf_session_recover(SfSession *session);
void sf_session_recover_hooks(SfSession *session);
