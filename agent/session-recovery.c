/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session's ways to thaw without a freezer: the rescue when its own is gone, and the recovery
 * of what an earlier agent left. Invariant: while either runs the session is in a state that
 * refuses a new freeze, and its end is told by an event. Called by session.c.
 */
#include "config.h"

#include "agent/session-private.h"
#include "protocol/error.h"

#define SLOW_THAW_MS 4000

/* A thread may hang in the kernel for as long as its disk does: whoever waits for an answer is told
 * the truth rather than nothing. */
static gboolean on_thaw_slow(gpointer user_data)
{
	SfSession *session = user_data;

	session->retry_source = 0;
	sf_session_handle(session, SF_EVENT_DRAINING);
	return G_SOURCE_REMOVE;
}

void sf_session_bound_thaw(SfSession *session, unsigned int ms)
{
	if (!session->retry_source)
		session->retry_source = g_timeout_add(ms, on_thaw_slow, session);
}

void sf_session_unbound_thaw(SfSession *session)
{
	if (session->retry_source)
		g_source_remove(session->retry_source);
	session->retry_source = 0;
}

static void on_rescued(gpointer user_data)
{
	SfSession *session = user_data;

	sf_session_unbound_thaw(session);
	g_clear_pointer(&session->rescue, sf_rescue_free);
	g_clear_pointer(&session->link, sf_freezer_link_free);
	sf_session_handle(session, SF_EVENT_ENDED);
}

void sf_session_rescue(SfSession *session)
{
	uint32_t count = session->record->map->count;
	g_autofree int *fds = g_new(int, count + 1);

	g_clear_pointer(&session->preparation, sf_preparation_free);
	sf_throttle_restore(session->throttle);
	for (uint32_t i = 0; i < count; i++)
		fds[i] = session->plan && i < session->plan->targets->len
				 ? ((SfTarget *)g_ptr_array_index(session->plan->targets, i))->fd
				 : -1;
	session->outcome.end = SF_END_FREEZER_GONE;
	atomic_store(&session->record->map->end, SF_END_FREEZER_GONE);
	if (atomic_load(&session->record->map->ended_ms) == 0)
		atomic_store(&session->record->map->ended_ms, sf_boottime_ms());
	if (session->rescue)
		return;
	sf_session_unbound_thaw(session);
	/* The rescue tells the end now, and it frees the link: not before it is done. */
	if (session->drop_source)
		g_source_remove(session->drop_source);
	session->drop_source = 0;
	session->rescue = sf_rescue_start(session->record, sf_freezer_link_pid(session->link),
					  sf_freezer_link_pidfd(session->link), fds,
					  session->settings.rehearse, on_rescued, session);
	sf_session_bound_thaw(session, SLOW_THAW_MS);
}

static void on_recovered(unsigned int thawed, const GError *error, gpointer user_data);

static gboolean on_recover_again(gpointer user_data)
{
	SfSession *session = user_data;

	session->retry_source = 0;
	session->recovery = sf_recovery_start(session->record, &session->settings.source,
					      session->settings.rehearse, on_recovered, session);
	return G_SOURCE_REMOVE;
}

static void on_recovered(unsigned int thawed, const GError *error, gpointer user_data)
{
	SfSession *session = user_data;

	sf_session_unbound_thaw(session);
	if (thawed > 0)
		g_warning("%u filesystems that an earlier agent had left frozen were thawed",
			  thawed);
	sf_outcome_clear(&session->outcome);
	sf_outcome_init(&session->outcome);
	sf_outcome_load(&session->outcome, session->record);
	/* The log stays held: it may lie on what is still frozen. */
	if (error) {
		g_warning("not everything could be thawed: %s", error->message);
		g_clear_pointer(&session->recovery, sf_recovery_free);
		session->retry_source = g_timeout_add_seconds(5, on_recover_again, session);
		sf_session_handle(session, SF_EVENT_DRAINING);
		return;
	}
	sf_service_manager_drop_inherited(session->manager);
	sf_session_handle(session, SF_EVENT_ENDED);
	g_clear_pointer(&session->recovery, sf_recovery_free);
	g_autoptr(GError) trouble = NULL;
	if (!sf_session_ensure_freezer(session, &trouble))
		g_warning("%s", trouble->message);
}

/* As after a freezer that is gone: a thaw is under way, and no freeze is accepted before it ends.
 */
void sf_session_recover(SfSession *session)
{
	session->state = (SfState){.name = SF_STATE_THAWING,
				   .was_begun = sf_record_count_ours(session->record) > 0};
	sf_session_update_watch(session);
	sf_session_set_failure(session, "an earlier agent's freeze is still being thawed");
	sf_log_hold(session->log);
	session->recovery = sf_recovery_start(session->record, &session->settings.source,
					      session->settings.rehearse, on_recovered, session);
	sf_session_bound_thaw(session, SLOW_THAW_MS);
}

static gboolean on_release(gpointer user_data)
{
	SfSession *session = user_data;

	session->release_source = 0;
	sf_session_release(session);
	return G_SOURCE_REMOVE;
}

void sf_session_recover_hooks(SfSession *session)
{
	if (!sf_hooks_are_noted(session->record))
		return;
	session->state =
		(SfState){.name = SF_STATE_RELEASING, .is_asked = true, .is_releasing = true};
	sf_session_update_watch(session);
	sf_session_set_failure(session, "the hooks of an earlier agent's freeze are told to thaw");
	session->release_source = g_idle_add(on_release, session);
}
