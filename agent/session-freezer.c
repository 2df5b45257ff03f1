/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session's ear for its freezer: starts one where there is none, notes what it says, and turns
 * that into events. Invariant: the end of a freezer is told once, by whichever sign comes first.
 * Called by its link.
 */
#include "config.h"

#include "agent/session-private.h"
#include "protocol/error.h"

/* Long for a thaw that a loaded disk holds up, short for a host that waits for one on a dead disk.
 */
#define HOPELESS_THAW_MS 15000

static const char *explain(int error)
{
	return error == EBUSY ? "it is frozen already, by somebody else" : g_strerror(error);
}

static void note_ending(SfSession *session, const struct sf_message *message)
{
	const char *mountpoint = sf_session_mountpoint(session, message->index);
	const char *what = session->state.was_begun ? "freeze" : "flush";

	session->outcome.end = message->reason;
	if (message->reason == SF_END_FAILED)
		sf_session_set_failure(session, "failed to %s '%s': %s", what, mountpoint,
				       explain(message->error));
	else if (message->reason == SF_END_TIMEOUT)
		sf_session_set_failure(session, "'%s' did not %s within %u s", mountpoint, what,
				       session->state.was_begun
					       ? session->settings.freeze_timeout_s
					       : session->settings.flush_timeout_s);
	else if (message->reason != SF_END_REQUEST)
		sf_session_set_failure(session, "the freeze was given up: %s",
				       sf_end_describe(message->reason));
}

static SfEvent event_of_ending(enum sf_end reason)
{
	return reason == SF_END_FAILED || reason == SF_END_TIMEOUT ? SF_EVENT_FREEZE_FAILED
								   : SF_EVENT_EXPIRED;
}

/* All is frozen, and what there is to say of it is known. */
static void on_taken(gpointer user_data)
{
	SfSession *session = user_data;
	unsigned int count = session->heard_frozen;

	if (session->state.name != SF_STATE_FREEZING)
		return;
	/* One that ended a moment ago may not have been heard of yet. */
	if (!sf_hooks_hold(session->hooks)) {
		sf_session_lose_hook("a session hook ended before all was frozen", session);
		return;
	}
	session->frozen_count = session->outcome.frozen = count;
	sf_session_handle(session, count > 0 ? SF_EVENT_FROZEN : SF_EVENT_FROZEN_NOTHING);
}

static void on_frozen(SfSession *session, const struct sf_message *message)
{
	/* The freezer has done so; here it is noted. */
	sf_throttle_restore(session->throttle);
	/* A thaw, a stop or a hook's end has crossed it: nobody was told "frozen", and who asked
	 * for the freeze is told why it was given up. */
	if (session->state.name != SF_STATE_FREEZING)
		return;
	session->heard_frozen = message->count;
	session->freeze_ms = message->value;
	session->deadline_ms = sf_boottime_ms() + message->lease;
	sf_evidence_take(session->evidence, &session->outcome, on_taken, session);
}

static void on_extended(SfSession *session, const struct sf_message *message)
{
	session->deadline_ms = sf_boottime_ms() + message->lease;
	sf_waiters_answer_extend(&session->waiters, NULL);
}

static void on_slow(SfSession *session, const struct sf_message *message)
{
	const char *why =
		message->error ? g_strerror(message->error) : "its thaw has not returned in 2 s";

	g_warning("'%s' is not thawed yet: %s", sf_session_mountpoint(session, message->index),
		  why);
	sf_session_set_failure(session, "'%s' is not thawed yet: %s",
			       sf_session_mountpoint(session, message->index), why);
	sf_session_bound_thaw(session, HOPELESS_THAW_MS);
	sf_session_handle(session, SF_EVENT_SLOW);
}

static void on_message(const struct sf_message *message, gpointer user_data)
{
	SfSession *session = user_data;

	if (session->preparation && sf_preparation_take_message(session->preparation, message))
		return;
	switch (message->kind) {
	case SF_MESSAGE_FROZEN:
		on_frozen(session, message);
		break;
	case SF_MESSAGE_EXTENDED:
		on_extended(session, message);
		break;
	case SF_MESSAGE_ENDING:
		note_ending(session, message);
		if (message->reason != SF_END_REQUEST && message->reason != SF_END_STOPPED)
			sf_session_handle(session, event_of_ending(message->reason));
		break;
	case SF_MESSAGE_DRAINING:
		sf_session_set_failure(session, "'%s' is still draining",
				       sf_session_mountpoint(session, message->index));
		sf_session_handle(session, SF_EVENT_DRAINING);
		break;
	case SF_MESSAGE_SLOW:
		on_slow(session, message);
		break;
	case SF_MESSAGE_ENDED:
		sf_session_unbound_thaw(session);
		sf_session_handle(session, SF_EVENT_ENDED);
		break;
	}
}

static void on_freezer_gone(const char *why, gpointer user_data)
{
	SfSession *session = user_data;

	g_warning("the freezer is gone: %s", why);
	if (session->state.name == SF_STATE_THAWED || session->state.name == SF_STATE_EXPIRED ||
	    session->state.name == SF_STATE_RELEASING)
		g_clear_pointer(&session->link, sf_freezer_link_free);
	sf_session_set_failure(session, "the freezer is gone: %s", why);
	sf_session_handle(session, SF_EVENT_FREEZER_GONE);
}

bool sf_session_ensure_freezer(SfSession *session, GError **error)
{
	static const SfFreezerLinkEvents events = {on_message, on_freezer_gone};

	if (!session->link)
		session->link =
			sf_freezer_link_start(session->settings.freezer, session->settings.rehearse,
					      session->record, &events, session, error);
	return session->link != NULL;
}
