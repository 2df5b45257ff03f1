/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a session's freeze: its verdict, the audit line, and letting go of all that it held.
 * Invariant: this runs once nothing of ours is frozen, and before anybody is answered. Called by
 * session.c.
 */
#include "config.h"

#include <sys/prctl.h>

#include "agent/session-private.h"

/* (transfer full): what came of it, in the words that a host was or will be told. */
static char *describe_end(const SfSession *session)
{
	char *complaint = NULL;

	if (session->outcome.frozen == 0)
		return g_strdup(session->failure ? session->failure->message
						 : "nothing was there to freeze");
	complaint = sf_outcome_describe(&session->outcome);
	return complaint ? complaint : g_strdup("consistent");
}

static void write_audit(SfSession *session)
{
	const SfOutcome *outcome = &session->outcome;
	g_autofree char *end = describe_end(session);

	sf_log_audit(session->log,
		     "freeze %" G_GINT64_FORMAT ": channel=%s command=%s label=%s filesystems=%u "
		     "flush=%" G_GUINT64_FORMAT "ms freeze=%" G_GUINT64_FORMAT
		     "ms frozen=%" G_GUINT64_FORMAT "ms hooks=%u outcome=%s",
		     outcome->id, outcome->channel, session->command ? session->command : "-",
		     outcome->label && *outcome->label ? outcome->label : "-", outcome->frozen,
		     session->flush_ms, session->freeze_ms, outcome->frozen_ms,
		     sf_hooks_freezes(session->hooks)->len, end);
}

static void close_freeze(SfSession *session)
{
	if (session->plan && session->outcome.frozen > 0) {
		sf_evidence_hear_thaw(session->plan, session->record, &session->outcome);
		if (session->settings.rehearse)
			sf_outcome_blame(&session->outcome, "rehearsal: nothing was frozen");
		sf_outcome_settle(&session->outcome, session->record, session->thawing_channel);
	}
	write_audit(session);
	/* A freeze that failed is over with its error: no later thaw has anything to complain
	 * about, nor has one after a restart. */
	if (session->outcome.frozen == 0) {
		session->outcome.id = 0;
		atomic_store(&session->record->map->begun_ms, 0);
	}
}

static gboolean on_details_idle(gpointer user_data)
{
	return G_SOURCE_REMOVE;
}

/* Who asked for the thaw need not wait for the memory of a long mount table. */
static void free_details_later(SfPlan *plan)
{
	g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, on_details_idle, sf_plan_steal_details(plan),
			(GDestroyNotify)sf_plan_details_free);
}

/* Nothing of ours is frozen any more: what the freeze held is let go, and the log may be written.
 */
void sf_session_close(SfSession *session)
{
	g_clear_pointer(&session->preparation, sf_preparation_free);
	sf_throttle_restore(session->throttle);
	/* What a recovery found was another agent's freeze, and is told by the record. */
	if (!session->recovery)
		close_freeze(session);
	g_clear_pointer(&session->evidence, sf_evidence_free);
	if (session->plan) {
		sf_service_manager_drop(session->manager, session->plan);
		sf_plan_close(session->plan);
		free_details_later(session->plan);
	}
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	sf_log_release(session->log);
}
