/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the one freeze: takes events, asks transitions.c what to do, and does it. Its invariant:
 * everybody who asked is answered once, and only after what the answer says is true. Called by the
 * commands and by agent.c.
 */
#include "config.h"

#include <sys/prctl.h>

#include "agent/hungtask.h"
#include "agent/session-private.h"
#include "protocol/error.h"

/* A thaw on stop may wait for a dead disk, which the freezer can do alone. */
#define LEAVE_ANYWAY_MS 10000
/* Hooks that take longer are told by the recovery after us; below the unit's TimeoutStopSec=. */
#define RELEASE_LIMIT_MS 40000

const char *sf_session_mountpoint(const SfSession *session, int index)
{
	const SfPlan *plan = sf_session_plan(session);

	if (!plan || index < 0 || (guint)index >= plan->targets->len)
		return "?";
	return ((const SfTarget *)g_ptr_array_index(plan->targets, (guint)index))->name;
}

void sf_session_set_failure(SfSession *session, const char *format, ...)
{
	va_list arguments;

	if (session->failure)
		return;
	va_start(arguments, format);
	session->failure = g_error_new_valist(SF_ERROR, SF_ERROR_GENERIC, format, arguments);
	va_end(arguments);
}

void sf_session_lose_hook(const char *why, gpointer user_data)
{
	SfSession *session = user_data;

	g_warning("%s", why);
	if (session->state.name < SF_STATE_FROZEN)
		sf_session_set_failure(session, "%s", why);
	sf_session_handle(session, SF_EVENT_HOOK_LOST);
}

static void take_over_preparation(SfSession *session)
{
	session->flush_ms = sf_preparation_flush_ms(session->preparation);
	session->plan = sf_preparation_steal_plan(session->preparation);
	session->evidence = sf_preparation_steal_evidence(session->preparation);
}

static void on_prepared(const GError *error, gpointer user_data)
{
	SfSession *session = user_data;

	if (error) {
		sf_session_set_failure(session, "%s", error->message);
		sf_session_handle(session, SF_EVENT_PREPARE_FAILED);
	} else if (sf_preparation_plan(session->preparation)->targets->len == 0) {
		/* Nothing to freeze is an answer, not a failure. */
		take_over_preparation(session);
		sf_session_handle(session, SF_EVENT_FROZEN_NOTHING);
	} else {
		take_over_preparation(session);
		sf_session_handle(session, SF_EVENT_PREPARED);
	}
}

static void do_send_freeze(SfSession *session)
{
	uint64_t longest_ms =
		sf_hung_task_cap(session->settings.source.proc, session->settings.max_timeout_s) *
		1000ull;
	uint64_t lease_ms =
		session->lease_s ? MIN(session->lease_s * 1000, longest_ms) : longest_ms;
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&session->preparation, sf_preparation_free);
	sf_service_manager_keep(session->manager, session->plan);
	sf_log_hold(session->log);
	/* A core dump to a frozen disk would come before the death that the freezer waits for. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* Where this cannot be sent the freezer is gone, which its link will say next. */
	if (!sf_freezer_link_send_freeze(session->link,
					 session->settings.freeze_timeout_s * 1000ull, lease_ms,
					 longest_ms, &error))
		g_warning("%s", error->message);
}

static void forget_last_freeze(SfSession *session)
{
	sf_outcome_clear(&session->outcome);
	sf_outcome_init(&session->outcome);
	g_clear_pointer(&session->plan, sf_plan_free);
	g_clear_pointer(&session->evidence, sf_evidence_free);
	g_clear_pointer(&session->command, g_free);
	g_clear_error(&session->failure);
	sf_hooks_forget(session->hooks);
	session->frozen_count = 0;
	session->deadline_ms = session->flush_ms = session->freeze_ms = 0;
}

void sf_session_prepare(SfSession *session, const SfFreezeRequest *request, GError **error)
{
	forget_last_freeze(session);
	sf_session_update_watch(session);
	session->command = g_strdup(request->command);
	session->outcome.id = session->record->map->id + 1;
	session->outcome.channel = g_strdup(request->channel);
	session->outcome.label = g_strdup(request->label);
	session->lease_s =
		request->timeout_s < 0 ? session->settings.timeout_s : request->timeout_s;
	if (sf_session_ensure_freezer(session, error))
		session->preparation =
			sf_preparation_start(&session->settings, session->link, session->record,
					     session->hooks, session->throttle, session->outcome.id,
					     request, on_prepared, session);
}

static gboolean on_drop_unsent(gpointer user_data)
{
	SfSession *session = user_data;

	session->drop_source = 0;
	sf_session_handle(session, SF_EVENT_ENDED);
	return G_SOURCE_REMOVE;
}

static void do_end(SfSession *session)
{
	bool is_handed_over =
		session->state.was_begun ||
		(session->preparation && sf_preparation_is_handed_over(session->preparation));

	g_clear_pointer(&session->preparation, sf_preparation_free);
	if (is_handed_over)
		sf_freezer_link_send_thaw(session->link, session->state.is_leaving
								 ? SF_END_STOPPED
								 : SF_END_REQUEST);
	else
		session->drop_source = g_idle_add(on_drop_unsent, session);
}

static void do_judge(SfSession *session)
{
	session->outcome.is_consistent = true;
	sf_evidence_judge(session->evidence, session->plan, session->record, &session->outcome);
}

static void fail_freeze(SfSession *session)
{
	sf_session_set_failure(session, "the freeze was given up: a thaw was asked for");
	sf_waiters_answer_freeze(&session->waiters, session->failure);
	sf_waiters_answer_extend(&session->waiters, session->failure);
}

static void answer_thaws(SfSession *session, bool was_frozen)
{
	g_autoptr(GError) error = NULL;

	if (session->state.name == SF_STATE_DRAINING)
		sf_throw(&error, "all is thawed but what still waits for its disk: %s",
			 session->failure ? session->failure->message : "an earlier freeze");
	sf_waiters_answer_thaws(&session->waiters, was_frozen, error);
}

static void do_leave(SfSession *session)
{
	if (session->leave_source)
		g_source_remove(session->leave_source);
	session->leave_source = 0;
	session->leave(session->leave_data);
}

static gboolean on_leave_anyway(gpointer user_data)
{
	SfSession *session = user_data;

	session->leave_source = 0;
	do_leave(session);
	return G_SOURCE_REMOVE;
}

static void leave_within(SfSession *session, unsigned int limit_ms)
{
	if (session->leave_source)
		g_source_remove(session->leave_source);
	session->leave_source = g_timeout_add(limit_ms, on_leave_anyway, session);
}

static void on_released(const GError *error, gpointer user_data)
{
	sf_session_handle(user_data, SF_EVENT_RELEASED);
}

void sf_session_release(SfSession *session)
{
	if (session->leave_source && sf_hooks_are_noted(session->record))
		leave_within(session, RELEASE_LIMIT_MS);
	sf_hooks_thaw(session->hooks, on_released, session);
}

void sf_session_update_watch(SfSession *session)
{
	sf_service_manager_set_watch(session->manager,
				     session->state.name != SF_STATE_THAWED &&
					     session->state.name != SF_STATE_EXPIRED);
}

void sf_session_handle(SfSession *session, SfEvent event)
{
	unsigned int actions = sf_transition(&session->state, event);
	bool is_over = event == SF_EVENT_RELEASED || event == SF_EVENT_ENDED;

	if (actions & SF_DO_JUDGE)
		do_judge(session);
	if (actions & SF_DO_END)
		do_end(session);
	if (actions & SF_DO_RESCUE)
		sf_session_rescue(session);
	if (actions & SF_DO_SEND_FREEZE)
		do_send_freeze(session);
	if (actions & SF_DO_CLOSE)
		sf_session_close(session);
	if (actions & SF_DO_ANSWER_FREEZE)
		sf_waiters_answer_freeze(&session->waiters, NULL);
	if (actions & SF_DO_FAIL_FREEZE)
		fail_freeze(session);
	if (actions & SF_DO_ANSWER_THAW)
		answer_thaws(session, is_over && session->outcome.frozen > 0);
	if (actions & SF_DO_LEAVE)
		do_leave(session);
	if (actions & SF_DO_RELEASE)
		sf_session_release(session);
	sf_session_update_watch(session);
}

void sf_session_stop(SfSession *session)
{
	if (!session->leave_source)
		leave_within(session, LEAVE_ANYWAY_MS);
	sf_session_set_failure(session, "the freeze was given up: the agent was told to stop");
	sf_session_handle(session, SF_EVENT_STOP);
}

SfSession *sf_session_new(const SfSessionSettings *settings, SfRecord *record, SfLog *log,
			  void (*leave)(gpointer), gpointer user_data, GError **error)
{
	g_autoptr(SfSession) session = g_new0(SfSession, 1);

	session->settings = *settings;
	session->record = record;
	session->log = log;
	session->leave = leave;
	session->leave_data = user_data;
	session->manager = sf_service_manager_new();
	sf_waiters_init(&session->waiters);
	sf_outcome_init(&session->outcome);
	session->hooks = sf_hooks_new(&settings->hooks, record, sf_session_lose_hook, session);
	/* A rehearsal leaves the machine's settings alone: it has no freeze that would wait. */
	session->throttle = sf_throttle_new(settings->source.proc, record,
					    settings->flush_throttle && !settings->rehearse);
	sf_throttle_recover(settings->source.proc, record);
	if (sf_recovery_is_needed(record)) {
		sf_session_recover(session);
	} else if (!sf_session_ensure_freezer(session, error)) {
		return NULL;
	} else {
		sf_outcome_load(&session->outcome, record);
		sf_session_recover_hooks(session);
	}
	if (!session->recovery)
		sf_service_manager_drop_inherited(session->manager);
	return g_steal_pointer(&session);
}

void sf_session_free(SfSession *session)
{
	if (!session)
		return;
	if (session->retry_source)
		g_source_remove(session->retry_source);
	if (session->leave_source)
		g_source_remove(session->leave_source);
	if (session->release_source)
		g_source_remove(session->release_source);
	if (session->drop_source)
		g_source_remove(session->drop_source);
	sf_preparation_free(session->preparation);
	sf_hooks_free(session->hooks);
	sf_throttle_free(session->throttle);
	sf_service_manager_free(session->manager);
	sf_recovery_free(session->recovery);
	sf_rescue_free(session->rescue);
	sf_freezer_link_free(session->link);
	sf_evidence_free(session->evidence);
	sf_plan_free(session->plan);
	sf_outcome_clear(&session->outcome);
	sf_record_close(session->record);
	sf_waiters_clear(&session->waiters);
	g_clear_error(&session->failure);
	g_free(session->command);
	g_free(session->thawing_channel);
	g_free(session);
}
