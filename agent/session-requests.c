/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session's face: those who ask it for something, and those who only look. It decides nothing:
 * it turns requests into events. Called by the commands.
 */
#include "config.h"

#include "agent/session-private.h"
#include "protocol/error.h"

void sf_session_freeze(SfSession *session, const SfFreezeRequest *request, SfFreezeDone done,
		       gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	unsigned int actions = sf_transition(&session->state, SF_EVENT_FREEZE);

	if (actions & SF_DO_REFUSE_FREEZE) {
		sf_throw(&error, "a freeze is under way (%s): %s",
			 sf_state_describe(&session->state),
			 session->failure ? session->failure->message : "one at a time");
		done(error, user_data);
		return;
	}
	sf_waiters_set_freeze(&session->waiters, done, user_data);
	sf_session_prepare(session, request, &error);
	if (error) {
		sf_session_set_failure(session, "%s", error->message);
		sf_session_handle(session, SF_EVENT_PREPARE_FAILED);
	}
}

void sf_session_give_up(SfSession *session, gpointer user_data)
{
	if (session->waiters.freeze_done && session->waiters.freeze_data == user_data &&
	    session->state.name == SF_STATE_PREPARING) {
		sf_session_set_failure(session,
				       "given up: its sender has gone on, so nothing was frozen");
		sf_session_handle(session, SF_EVENT_GIVEN_UP);
	}
}

static bool refuse_id(const SfSession *session, int64_t id, GError **error)
{
	if (id == 0 || id == session->outcome.id)
		return false;
	sf_throw(error, "freeze %" G_GINT64_FORMAT " is not the current one", id);
	return true;
}

/* What else has ended the freeze meanwhile answers whoever waits. */
static void on_looked(gpointer user_data)
{
	SfSession *session = user_data;

	if (session->state.name == SF_STATE_FROZEN)
		sf_session_handle(session, SF_EVENT_THAW);
}

void sf_session_thaw(SfSession *session, const char *channel, int64_t id, SfThawDone done,
		     gpointer user_data)
{
	g_autoptr(GError) error = NULL;

	if (refuse_id(session, id, &error)) {
		done(false, error, user_data);
		return;
	}
	bool is_frozen = session->state.name == SF_STATE_FROZEN;
	bool is_looking = is_frozen && sf_evidence_is_looking(session->evidence);
	if ((is_frozen && !is_looking) || session->state.name == SF_STATE_FREEZING) {
		g_free(session->thawing_channel);
		session->thawing_channel = g_strdup(channel);
	}
	if (session->waiters.freeze_done)
		sf_session_set_failure(session,
				       "the freeze was given up: channel '%s' asked for a thaw",
				       channel);
	sf_waiters_add_thaw(&session->waiters, done, user_data);
	if (!is_frozen)
		sf_session_handle(session, SF_EVENT_THAW);
	else if (!is_looking)
		sf_evidence_look(session->evidence, &session->outcome, on_looked, session);
}

void sf_session_extend(SfSession *session, int64_t id, int64_t timeout_s, SfFreezeDone done,
		       gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	uint64_t lease_ms =
		timeout_s > 0 ? timeout_s * 1000ull : session->settings.max_timeout_s * 1000ull;

	if (session->state.name != SF_STATE_FROZEN)
		sf_throw(&error, "nothing is frozen: there is no deadline to extend");
	else if (session->waiters.extend_done)
		sf_throw(&error, "another channel extends the deadline at this moment");
	else if (!refuse_id(session, id, &error) &&
		 sf_freezer_link_send_extend(session->link, lease_ms, &error)) {
		sf_waiters_set_extend(&session->waiters, done, user_data);
		return;
	}
	done(error, user_data);
}

bool sf_session_is_frozen(const SfSession *session)
{
	/* The record, too: while a recovery waits for an earlier agent's freezer, that may still
	 * carry out the word to freeze which its socket holds. */
	return (sf_state_is_frozen(&session->state) || sf_record_count_ours(session->record) > 0) &&
	       !session->settings.rehearse;
}

bool sf_session_is_rehearsal(const SfSession *session)
{
	return session->settings.rehearse;
}

const SfState *sf_session_state(const SfSession *session)
{
	return &session->state;
}

const SfOutcome *sf_session_outcome(const SfSession *session)
{
	return &session->outcome;
}

const SfRecord *sf_session_record(const SfSession *session)
{
	return session->record;
}

const SfSessionSettings *sf_session_settings(const SfSession *session)
{
	return &session->settings;
}

const SfPlan *sf_session_plan(const SfSession *session)
{
	if (session->plan || !session->preparation)
		return session->plan;
	return sf_preparation_plan(session->preparation);
}

unsigned int sf_session_frozen_count(const SfSession *session)
{
	return session->frozen_count;
}

uint64_t sf_session_left_ms(const SfSession *session)
{
	uint64_t now = sf_boottime_ms();

	return session->state.name == SF_STATE_FROZEN && session->deadline_ms > now
		       ? session->deadline_ms - now
		       : 0;
}

const SfHooks *sf_session_hooks(const SfSession *session)
{
	return session->hooks;
}

uint64_t sf_session_flush_ms(const SfSession *session)
{
	return session->flush_ms;
}

uint64_t sf_session_freeze_ms(const SfSession *session)
{
	return session->freeze_ms;
}
