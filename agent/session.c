/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the one freeze: takes requests and the freezer's messages as events, asks transitions.c what
 * to do, and does it. Its invariant: everybody who asked is answered once, and only after what the
 * answer says is true. Called by the commands and by agent.c.
 */
#include "config.h"

#include <sys/prctl.h>

#include "agent/evidence.h"
#include "agent/freezer-link.h"
#include "agent/preparation.h"
#include "agent/recovery.h"
#include "agent/rescue.h"
#include "agent/session.h"
#include "protocol/error.h"

/* A thaw on stop may wait for a dead disk, which the freezer can do alone. */
#define LEAVE_ANYWAY_MS 10000
#define SLOW_RECOVERY_MS 4000

typedef struct {
	SfThawDone done;
	gpointer user_data;
} Waiting;

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
	SfPreparation *preparation;
	SfPlan *plan;
	SfEvidence *evidence;
	GError *failure; /* why the freeze that is ending failed */
	char *command;
	char *thawing_channel;
	SfFreezeDone freeze_done; /* NULL: nobody waits */
	gpointer freeze_data;
	SfFreezeDone extend_done;
	gpointer extend_data;
	GArray *waiting; /* of Waiting: for the thaw */
	guint retry_source, leave_source;
	unsigned int frozen_count;
	uint64_t deadline_ms, flush_ms, freeze_ms;
};

static void handle(SfSession *session, SfEvent event);

static const char *mountpoint_of(const SfSession *session, int index)
{
	const SfPlan *plan = sf_session_plan(session);

	if (!plan || index < 0 || (guint)index >= plan->targets->len)
		return "?";
	return ((const SfTarget *)g_ptr_array_index(plan->targets, (guint)index))->mountpoint;
}

static void set_failure(SfSession *session, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void set_failure(SfSession *session, const char *format, ...)
{
	va_list arguments;

	if (session->failure)
		return;
	va_start(arguments, format);
	session->failure = g_error_new_valist(SF_ERROR, SF_ERROR_GENERIC, format, arguments);
	va_end(arguments);
}

static const char *explain(int error)
{
	return error == EBUSY ? "it is frozen already, by somebody else" : g_strerror(error);
}

static void note_ending(SfSession *session, const struct sf_message *message)
{
	const char *mountpoint = mountpoint_of(session, message->index);
	const char *what = session->state.was_begun ? "freeze" : "flush";

	session->outcome.end = message->reason;
	if (message->reason == SF_END_FAILED)
		set_failure(session, "failed to %s '%s': %s", what, mountpoint,
			    explain(message->error));
	else if (message->reason == SF_END_TIMEOUT)
		set_failure(session, "'%s' did not %s within %u s", mountpoint, what,
			    session->state.was_begun ? session->settings.freeze_timeout_s
						     : session->settings.flush_timeout_s);
	else if (message->reason != SF_END_REQUEST)
		set_failure(session, "the freeze was given up: %s",
			    sf_end_describe(message->reason));
}

static SfEvent event_of_ending(enum sf_end reason)
{
	return reason == SF_END_FAILED || reason == SF_END_TIMEOUT ? SF_EVENT_FREEZE_FAILED
								   : SF_EVENT_EXPIRED;
}

static void on_frozen(SfSession *session, const struct sf_message *message)
{
	session->frozen_count = session->outcome.frozen = message->count;
	session->freeze_ms = message->value;
	session->deadline_ms = sf_boottime_ms() + message->lease;
	sf_evidence_take(session->evidence, session->plan, &session->outcome);
	handle(session, message->count > 0 ? SF_EVENT_FROZEN : SF_EVENT_FROZEN_NOTHING);
}

static void on_extended(SfSession *session, const struct sf_message *message)
{
	SfFreezeDone done = g_steal_pointer(&session->extend_done);

	session->deadline_ms = sf_boottime_ms() + message->lease;
	if (done)
		done(NULL, session->extend_data);
}

static void on_slow(SfSession *session, const struct sf_message *message)
{
	g_warning("'%s' is not thawed yet: %s", mountpoint_of(session, message->index),
		  message->error ? g_strerror(message->error) : "its thaw has not returned in 2 s");
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
			handle(session, event_of_ending(message->reason));
		break;
	case SF_MESSAGE_DRAINING:
		set_failure(session, "'%s' is still draining",
			    mountpoint_of(session, message->index));
		handle(session, SF_EVENT_DRAINING);
		break;
	case SF_MESSAGE_SLOW:
		on_slow(session, message);
		break;
	case SF_MESSAGE_ENDED:
		handle(session, SF_EVENT_ENDED);
		break;
	}
}

static void on_freezer_gone(const char *why, gpointer user_data)
{
	SfSession *session = user_data;

	g_warning("the freezer is gone: %s", why);
	if (session->state.name == SF_STATE_THAWED || session->state.name == SF_STATE_EXPIRED)
		g_clear_pointer(&session->link, sf_freezer_link_free);
	set_failure(session, "the freezer is gone: %s", why);
	handle(session, SF_EVENT_FREEZER_GONE);
}

static bool ensure_freezer(SfSession *session, GError **error)
{
	static const SfFreezerLinkEvents events = {on_message, on_freezer_gone};

	if (!session->link)
		session->link =
			sf_freezer_link_start(session->settings.freezer, session->settings.rehearse,
					      session->record, &events, session, error);
	return session->link != NULL;
}

static void answer_freeze(SfSession *session, const GError *error)
{
	SfFreezeDone done = g_steal_pointer(&session->freeze_done);

	if (done)
		done(error, session->freeze_data);
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
		set_failure(session, "%s", error->message);
		handle(session, SF_EVENT_PREPARE_FAILED);
	} else if (sf_preparation_plan(session->preparation)->targets->len == 0) {
		/* Nothing to freeze is an answer, not a failure. */
		take_over_preparation(session);
		answer_freeze(session, NULL);
		handle(session, SF_EVENT_PREPARE_FAILED);
	} else {
		take_over_preparation(session);
		handle(session, SF_EVENT_PREPARED);
	}
}

static unsigned int read_number(const char *path)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	return (unsigned int)g_ascii_strtoull(text, NULL, 10);
}

/* Where the kernel panics on a task that hangs too long, a writer that we hold must not hang so
 * long. */
static uint64_t longest_freeze_ms(const SfSession *session)
{
	g_autofree char *panic =
		g_build_filename(session->settings.source.proc, "sys/kernel/hung_task_panic", NULL);
	g_autofree char *limit = g_build_filename(session->settings.source.proc,
						  "sys/kernel/hung_task_timeout_secs", NULL);
	unsigned int seconds = read_number(limit);

	if (read_number(panic) == 0 || seconds == 0)
		return session->settings.max_timeout_s * 1000ull;
	return MIN(session->settings.max_timeout_s, MAX(seconds, 10) - 5) * 1000ull;
}

static void do_send_freeze(SfSession *session)
{
	uint64_t longest_ms = longest_freeze_ms(session);
	uint64_t lease_ms =
		session->deadline_ms ? MIN(session->deadline_ms, longest_ms) : longest_ms;
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&session->preparation, sf_preparation_free);
	sf_log_hold(session->log);
	/* A core dump to a frozen disk would come before the death that the freezer waits for. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* Where this cannot be sent the freezer is gone, which its link will say next. */
	if (!sf_freezer_link_send_freeze(session->link,
					 session->settings.freeze_timeout_s * 1000ull, lease_ms,
					 longest_ms, &error))
		g_warning("%s", error->message);
}

static void do_prepare(SfSession *session, const SfFreezeRequest *request, GError **error)
{
	if (!ensure_freezer(session, error))
		return;
	sf_outcome_clear(&session->outcome);
	sf_outcome_init(&session->outcome);
	g_clear_pointer(&session->plan, sf_plan_free);
	g_clear_pointer(&session->evidence, sf_evidence_free);
	g_clear_error(&session->failure);
	g_free(session->command);
	session->command = g_strdup(request->command);
	session->outcome.id = session->record->map->id + 1;
	session->outcome.channel = g_strdup(request->channel);
	session->outcome.label = g_strdup(request->label);
	session->frozen_count = 0;
	session->flush_ms = session->freeze_ms = 0;
	/* Until it is frozen: how long; afterwards: until when. */
	session->deadline_ms =
		(request->timeout_s < 0 ? session->settings.timeout_s : request->timeout_s) *
		1000ull;
	session->preparation =
		sf_preparation_start(&session->settings, session->link, session->record,
				     session->outcome.id, request, on_prepared, session);
}

static gboolean on_drop_unsent(gpointer user_data)
{
	handle(user_data, SF_EVENT_ENDED);
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
		g_idle_add(on_drop_unsent, session);
}

static void on_rescued(gpointer user_data)
{
	SfSession *session = user_data;

	g_clear_pointer(&session->rescue, sf_rescue_free);
	g_clear_pointer(&session->link, sf_freezer_link_free);
	handle(session, SF_EVENT_ENDED);
}

static void do_rescue(SfSession *session)
{
	uint32_t count = session->record->map->count;
	g_autofree int *fds = g_new(int, count + 1);

	g_clear_pointer(&session->preparation, sf_preparation_free);
	for (uint32_t i = 0; i < count; i++)
		fds[i] = session->plan && i < session->plan->targets->len
				 ? ((SfTarget *)g_ptr_array_index(session->plan->targets, i))->fd
				 : -1;
	session->outcome.end = SF_END_FREEZER_GONE;
	atomic_store(&session->record->map->end, SF_END_FREEZER_GONE);
	if (atomic_load(&session->record->map->ended_ms) == 0)
		atomic_store(&session->record->map->ended_ms, sf_boottime_ms());
	if (!session->rescue)
		session->rescue =
			sf_rescue_start(session->record, sf_freezer_link_pid(session->link),
					sf_freezer_link_pidfd(session->link), fds,
					session->settings.rehearse, on_rescued, session);
}

static void do_judge(SfSession *session)
{
	session->outcome.is_consistent = true;
	sf_evidence_judge(session->evidence, session->plan, session->record, &session->outcome);
}

static void write_audit(SfSession *session)
{
	const SfOutcome *outcome = &session->outcome;
	g_autofree char *complaint = sf_outcome_describe(outcome);

	sf_log_audit(session->log,
		     "freeze %" G_GINT64_FORMAT ": channel=%s command=%s label=%s filesystems=%u "
		     "flush=%" G_GUINT64_FORMAT "ms freeze=%" G_GUINT64_FORMAT
		     "ms frozen=%" G_GUINT64_FORMAT "ms outcome=%s",
		     outcome->id, outcome->channel, session->command ? session->command : "-",
		     outcome->label && *outcome->label ? outcome->label : "-", outcome->frozen,
		     session->flush_ms, session->freeze_ms, outcome->frozen_ms,
		     session->failure && outcome->frozen == 0 ? session->failure->message
		     : complaint                              ? complaint
							      : "consistent");
}

static void judge_at_last(SfSession *session)
{
	SfOutcome *outcome = &session->outcome;
	const struct sf_record *map = session->record->map;
	uint64_t begun = atomic_load(&map->begun_ms), ended = atomic_load(&map->ended_ms);

	outcome->end = atomic_load(&map->end);
	outcome->frozen_ms = begun && ended > begun ? ended - begun : 0;
	outcome->thaw_ms = ended ? sf_boottime_ms() - ended : 0;
	if (session->plan)
		sf_evidence_hear_thaw(session->plan, session->record, outcome);
	if (outcome->end != SF_END_REQUEST)
		sf_outcome_blame(outcome, "%s", sf_end_describe(outcome->end));
	if (session->settings.rehearse)
		sf_outcome_blame(outcome, "rehearsal: nothing was frozen");
	if (outcome->reasons->len > 0)
		outcome->is_consistent = false;
	outcome->thawed_by =
		outcome->end == SF_END_REQUEST ? g_strdup(session->thawing_channel) : NULL;
	g_autofree char *text = sf_outcome_describe(outcome);
	sf_record_set_verdict(session->record, outcome->is_consistent, text);
}

static void close_freeze(SfSession *session)
{
	if (session->plan && session->outcome.frozen > 0)
		judge_at_last(session);
	write_audit(session);
	/* A freeze that failed is over with its error: no later thaw has anything to complain about. */
	if (session->outcome.frozen == 0)
		session->outcome.id = 0;
}

/* Nothing of ours is frozen any more: what the freeze held is let go, and the log may be written. */
static void do_close(SfSession *session)
{
	g_clear_pointer(&session->preparation, sf_preparation_free);
	/* What a recovery found was another agent's freeze, and is told by the record. */
	if (!session->recovery)
		close_freeze(session);
	g_clear_pointer(&session->evidence, sf_evidence_free);
	if (session->plan)
		sf_plan_close(session->plan);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	sf_log_release(session->log);
}

static void fail_freeze(SfSession *session)
{
	g_autoptr(GError) none = NULL;

	if (!session->failure)
		sf_throw(&none, "the freeze was given up: a thaw was asked for");
	answer_freeze(session, session->failure ? session->failure : none);
	SfFreezeDone done = g_steal_pointer(&session->extend_done);
	if (done)
		done(session->failure ? session->failure : none, session->extend_data);
}

static void answer_thaws(SfSession *session, bool was_frozen)
{
	g_autoptr(GArray) waiting = g_steal_pointer(&session->waiting);
	g_autoptr(GError) error = NULL;

	session->waiting = g_array_new(FALSE, FALSE, sizeof(Waiting));
	if (session->state.name == SF_STATE_DRAINING)
		sf_throw(&error, "all is thawed but what still waits for its disk: %s",
			 session->failure ? session->failure->message : "an earlier freeze");
	for (guint i = 0; i < waiting->len; i++) {
		Waiting *one = &g_array_index(waiting, Waiting, i);
		one->done(was_frozen, error, one->user_data);
	}
}

static void do_leave(SfSession *session)
{
	if (session->leave_source)
		g_source_remove(session->leave_source);
	session->leave_source = 0;
	session->leave(session->leave_data);
}

static void handle(SfSession *session, SfEvent event)
{
	unsigned int actions = sf_transition(&session->state, event);
	bool ended_a_freeze = actions & SF_DO_CLOSE && session->outcome.frozen > 0;

	if (actions & SF_DO_JUDGE)
		do_judge(session);
	if (actions & SF_DO_END)
		do_end(session);
	if (actions & SF_DO_RESCUE)
		do_rescue(session);
	if (actions & SF_DO_SEND_FREEZE)
		do_send_freeze(session);
	if (actions & SF_DO_CLOSE)
		do_close(session);
	if (actions & SF_DO_ANSWER_FREEZE)
		answer_freeze(session, NULL);
	if (actions & SF_DO_FAIL_FREEZE)
		fail_freeze(session);
	if (actions & SF_DO_ANSWER_THAW)
		answer_thaws(session, ended_a_freeze);
	if (actions & SF_DO_LEAVE)
		do_leave(session);
}

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
	session->freeze_done = done;
	session->freeze_data = user_data;
	do_prepare(session, request, &error);
	if (error) {
		set_failure(session, "%s", error->message);
		handle(session, SF_EVENT_PREPARE_FAILED);
	}
}

void sf_session_give_up(SfSession *session, gpointer user_data)
{
	if (session->freeze_done && session->freeze_data == user_data &&
	    session->state.name == SF_STATE_PREPARING) {
		set_failure(session, "given up: its sender has gone on, so nothing was frozen");
		handle(session, SF_EVENT_GIVEN_UP);
	}
}

static bool refuse_id(const SfSession *session, int64_t id, GError **error)
{
	if (id == 0 || id == session->outcome.id)
		return false;
	sf_throw(error, "freeze %" G_GINT64_FORMAT " is not the current one", id);
	return true;
}

void sf_session_thaw(SfSession *session, const char *channel, int64_t id, SfThawDone done,
		     gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	Waiting waiting = {done, user_data};

	if (refuse_id(session, id, &error)) {
		done(false, error, user_data);
		return;
	}
	if (session->state.name == SF_STATE_FROZEN || session->state.name == SF_STATE_FREEZING) {
		g_free(session->thawing_channel);
		session->thawing_channel = g_strdup(channel);
	}
	if (session->freeze_done)
		set_failure(session, "the freeze was given up: channel '%s' asked for a thaw",
			    channel);
	g_array_append_val(session->waiting, waiting);
	handle(session, SF_EVENT_THAW);
}

void sf_session_extend(SfSession *session, int64_t id, int64_t timeout_s, SfFreezeDone done,
		       gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	uint64_t lease_ms =
		timeout_s > 0 ? timeout_s * 1000ull : session->settings.max_timeout_s * 1000ull;

	if (session->state.name != SF_STATE_FROZEN)
		sf_throw(&error, "nothing is frozen: there is no deadline to extend");
	else if (session->extend_done)
		sf_throw(&error, "another channel extends the deadline at this moment");
	else if (!refuse_id(session, id, &error) &&
		 sf_freezer_link_send_extend(session->link, lease_ms, &error)) {
		session->extend_done = done;
		session->extend_data = user_data;
		return;
	}
	done(error, user_data);
}

static gboolean on_leave_anyway(gpointer user_data)
{
	SfSession *session = user_data;

	session->leave_source = 0;
	do_leave(session);
	return G_SOURCE_REMOVE;
}

void sf_session_stop(SfSession *session)
{
	if (!session->leave_source)
		session->leave_source = g_timeout_add(LEAVE_ANYWAY_MS, on_leave_anyway, session);
	set_failure(session, "the freeze was given up: the agent was told to stop");
	handle(session, SF_EVENT_STOP);
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

	if (session->retry_source)
		g_source_remove(session->retry_source);
	session->retry_source = 0;
	sf_log_release(session->log);
	if (thawed > 0)
		g_warning("%u filesystems that an earlier agent had left frozen were thawed",
			  thawed);
	sf_outcome_clear(&session->outcome);
	sf_outcome_init(&session->outcome);
	sf_outcome_load(&session->outcome, session->record);
	if (error) {
		g_warning("not everything could be thawed: %s", error->message);
		g_clear_pointer(&session->recovery, sf_recovery_free);
		session->retry_source = g_timeout_add_seconds(5, on_recover_again, session);
		handle(session, SF_EVENT_DRAINING);
		return;
	}
	handle(session, SF_EVENT_ENDED);
	g_clear_pointer(&session->recovery, sf_recovery_free);
	g_autoptr(GError) trouble = NULL;
	if (!ensure_freezer(session, &trouble))
		g_warning("%s", trouble->message);
}

/* Who waits for a thaw is told the truth rather than nothing. */
static gboolean on_recovery_slow(gpointer user_data)
{
	SfSession *session = user_data;

	session->retry_source = 0;
	handle(session, SF_EVENT_DRAINING);
	return G_SOURCE_REMOVE;
}

/* As after a freezer that is gone: a thaw is under way, and no freeze is accepted before it ends.
 */
static void begin_recovery(SfSession *session)
{
	session->state = (SfState){.name = SF_STATE_THAWING,
				   .was_begun = sf_record_count_ours(session->record) > 0};
	set_failure(session, "an earlier agent's freeze is still being thawed");
	sf_log_hold(session->log);
	session->recovery = sf_recovery_start(session->record, &session->settings.source,
					      session->settings.rehearse, on_recovered, session);
	session->retry_source = g_timeout_add(SLOW_RECOVERY_MS, on_recovery_slow, session);
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
	session->waiting = g_array_new(FALSE, FALSE, sizeof(Waiting));
	sf_outcome_init(&session->outcome);
	if (sf_recovery_is_needed(record))
		begin_recovery(session);
	else if (!ensure_freezer(session, error))
		return NULL;
	else
		sf_outcome_load(&session->outcome, record);
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
	sf_preparation_free(session->preparation);
	sf_recovery_free(session->recovery);
	sf_rescue_free(session->rescue);
	sf_freezer_link_free(session->link);
	sf_evidence_free(session->evidence);
	sf_plan_free(session->plan);
	sf_outcome_clear(&session->outcome);
	sf_record_close(session->record);
	g_array_unref(session->waiting);
	g_clear_error(&session->failure);
	g_free(session->command);
	g_free(session->thawing_channel);
	g_free(session);
}

bool sf_session_is_frozen(const SfSession *session)
{
	return sf_state_is_frozen(&session->state) && !session->settings.rehearse;
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

uint64_t sf_session_flush_ms(const SfSession *session)
{
	return session->flush_ms;
}

uint64_t sf_session_freeze_ms(const SfSession *session)
{
	return session->freeze_ms;
}
