/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/hooks.h"
#include "agent/log.h"
#include "agent/outcome.h"
#include "agent/plan.h"
#include "agent/record.h"
#include "agent/transitions.h"
#include "agent/waiters.h"

/**
 * SfSession: the one freeze that there is at a time, from the request to the thaw, whoever asks for
 * it. It owns the freezer, the record, the plan and the outcome. guest-fsfreeze-* and snapfreeze-*
 * are views of it.
 */
typedef struct SfSession SfSession;

typedef struct {
	const char *freezer; /* path of snapfreeze-freezer */
	bool rehearse;
	SfPlanSource source;
	unsigned int timeout_s,
		max_timeout_s; /* how long a freeze may last; timeout 0: as long as the maximum */
	unsigned int freeze_timeout_s, flush_timeout_s;
	unsigned int parallel;
	bool accept_foreign;
	SfHookSettings hooks;
	bool flush_throttle; /* whether dirty memory may be limited while flushing */
} SfSessionSettings;

typedef struct {
	const char *command, *channel;  /* that ask for it, for the audit line */
	const char *const *mountpoints; /* (nullable): all */
	const char *label;              /* (nullable) */
	int64_t timeout_s;              /* -1: the configured one; 0: the maximum */
} SfFreezeRequest;

/**
 * sf_session_new:
 * @settings: copied; what its strings point to must outlive the session
 * @record: (transfer full): opened, with nothing of ours left in it or @fds to thaw that
 * @log: held while anything is frozen; must outlive the session
 * @leave: called when sf_session_stop() has nothing more to wait for
 * @error: domain %SF_ERROR: the freezer does not start
 */
SfSession *sf_session_new(const SfSessionSettings *settings, SfRecord *record, SfLog *log,
			  void (*leave)(gpointer), gpointer user_data,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Closes the freezer's socket: what is frozen is thawed by it. Who still waits is not answered. */
void sf_session_free(SfSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfSession, sf_session_free)

/* Freezes. @done is called once, possibly before this returns. */
void sf_session_freeze(SfSession *session, const SfFreezeRequest *request, SfFreezeDone done,
		       gpointer user_data);
/* Who asked with @user_data waits no more: a freeze that has not begun is not begun. */
void sf_session_give_up(SfSession *session, gpointer user_data);
/* Thaws, or says at once that nothing was frozen. @id: of the freeze that is meant; 0: whatever is
 * frozen. */
void sf_session_thaw(SfSession *session, const char *channel, int64_t id, SfThawDone done,
		     gpointer user_data);
/* Renews the deadline to @timeout_s from now, at most the maximum. @done as of a freeze. */
void sf_session_extend(SfSession *session, int64_t id, int64_t timeout_s, SfFreezeDone done,
		       gpointer user_data);
/* SIGTERM: thaws what is frozen, then calls leave(). */
void sf_session_stop(SfSession *session);

/* What the views show. */
bool sf_session_is_frozen(const SfSession *session);
bool sf_session_is_rehearsal(const SfSession *session);
const SfState *sf_session_state(const SfSession *session);
const SfOutcome *sf_session_outcome(const SfSession *session);
const SfRecord *sf_session_record(const SfSession *session);
const SfSessionSettings *sf_session_settings(const SfSession *session);
/* (nullable): of the freeze under way, or of the one that ended last. */
const SfPlan *sf_session_plan(const SfSession *session);
unsigned int sf_session_frozen_count(const SfSession *session);
uint64_t sf_session_left_ms(const SfSession *session);
const SfHooks *sf_session_hooks(const SfSession *session);
uint64_t sf_session_flush_ms(const SfSession *session);
uint64_t sf_session_freeze_ms(const SfSession *session);
