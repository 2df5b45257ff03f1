/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the plan and the evidence while a freeze is being prepared. Nothing is frozen here, so it
 * may allocate, fail and begin again as it likes. Called by session.
 */
#include "config.h"

#include "agent/lookout.h"
#include "agent/opener.h"
#include "agent/plan-variant.h"
#include "agent/preparation.h"
#include "protocol/error.h"

#define MAX_TRIES 3
#define OPEN_TIMEOUT_MS 10000
#define READ_TIMEOUT_MS 60000
/* Of the flush's time-out; the rest is for the flush itself. */
#define THROTTLE_SHARE_PERCENT 75

struct SfPreparation {
	const SfSessionSettings *settings;
	SfFreezerLink *link;
	SfRecord *record;
	SfHooks *hooks;
	SfThrottle *throttle;
	int64_t id;
	char *channel, *label;
	char **mountpoints;
	SfPreparationDone done;
	gpointer user_data;

	SfPlan *plan;
	SfEvidence *evidence;
	SfOpener *opener;
	GError *open_failure; /* (nullable): while it is asked whether the tables have changed */
	guint idle;
	unsigned int tries;
	uint64_t flush_ms;
	uint64_t flush_begun_ms; /* CLOCK_BOOTTIME */
	bool is_handed_over;
	bool has_run_hooks;
	bool is_dropping; /* the freezer drops the plan, since it is not true any more */
};

static bool begin(SfPreparation *preparation, GError **error);

static void finish(SfPreparation *preparation, const GError *error)
{
	preparation->done(error, preparation->user_data);
}

static gboolean on_idle(gpointer user_data)
{
	SfPreparation *preparation = user_data;
	g_autoptr(GError) error = NULL;

	preparation->idle = 0;
	if (!begin(preparation, &error))
		finish(preparation, error);
	return G_SOURCE_REMOVE;
}

static void begin_later(SfPreparation *preparation)
{
	preparation->idle = g_idle_add(on_idle, preparation);
}

static bool count_try(SfPreparation *preparation, GError **error)
{
	if (++preparation->tries < MAX_TRIES)
		return true;
	return sf_throw(error,
			"the mounted filesystems changed %u times while the freeze was prepared",
			preparation->tries);
}

static bool flush(SfPreparation *preparation, GError **error)
{
	uint64_t passed_ms = sf_boottime_ms() - preparation->flush_begun_ms;
	uint64_t timeout_ms = preparation->settings->flush_timeout_s * 1000ull;

	return sf_freezer_link_send_flush(preparation->link,
					  timeout_ms > passed_ms ? timeout_ms - passed_ms : 1,
					  error);
}

static void on_low_before(gpointer user_data)
{
	SfPreparation *preparation = user_data;
	g_autoptr(GError) error = NULL;

	if (!flush(preparation, &error))
		finish(preparation, error);
}

static bool hand_over(SfPreparation *preparation, GError **error)
{
	const SfSessionSettings *settings = preparation->settings;

	sf_record_begin(preparation->record, preparation->id, preparation->channel,
			preparation->label, preparation->plan);
	preparation->is_handed_over = true;
	if (!sf_freezer_link_send_plan(preparation->link, preparation->plan, settings->parallel,
				       settings->accept_foreign, error))
		return false;
	/* A flush in the midst of an endless load would only add to what the disks must do, and
	 * fill their queues, in which everybody's small writes then wait. So where there is such a
	 * load, what is dirty comes down first. */
	preparation->flush_begun_ms = sf_boottime_ms();
	sf_throttle_begin(preparation->throttle,
			  settings->flush_timeout_s * 1000ull * THROTTLE_SHARE_PERCENT / 100);
	sf_throttle_wait(preparation->throttle, on_low_before, preparation);
	return true;
}

static bool take_change(GVariant *answer, const GError *failure, SfTablesChange *out_change,
			GError **error)
{
	if (failure)
		return sf_throw(error, "%s", failure->message);
	*out_change = g_variant_get_byte(answer);
	return true;
}

static bool go_on_opened(SfPreparation *preparation, SfTablesChange change, GError **error)
{
	if (change == SF_TABLES_OTHER) {
		if (!count_try(preparation, error))
			return false;
		begin_later(preparation);
		return true;
	}
	return sf_evidence_open(preparation->evidence, preparation->plan, error) &&
	       hand_over(preparation, error);
}

static void on_opened_checked(GVariant *answer, const GError *failure, gpointer user_data)
{
	SfPreparation *preparation = user_data;
	g_autoptr(GError) open_failure = g_steal_pointer(&preparation->open_failure);
	g_autoptr(GError) error = NULL;
	SfTablesChange change = SF_TABLES_UNCHANGED;
	bool is_checked = take_change(answer, failure, &change, &error);

	if (open_failure && (!is_checked || change != SF_TABLES_UNCHANGED) &&
	    count_try(preparation, NULL)) {
		/* What could not be opened may just have been unmounted, or its process has
		 * ended. */
		begin_later(preparation);
	} else if (open_failure) {
		finish(preparation, open_failure);
	} else if (!is_checked || !go_on_opened(preparation, change, &error)) {
		finish(preparation, error);
	}
}

static void on_opened(const GError *failure, gpointer user_data)
{
	SfPreparation *preparation = user_data;

	preparation->opener = NULL;
	preparation->open_failure = failure ? g_error_copy(failure) : NULL;
	sf_scout_ask(sf_evidence_scout(preparation->evidence), SF_SCOUT_CHECK_OPENED,
		     READ_TIMEOUT_MS, on_opened_checked, preparation);
}

static void open_all(SfPreparation *preparation)
{
	if (preparation->plan->targets->len == 0)
		finish(preparation, NULL);
	else
		preparation->opener =
			sf_opener_start(preparation->plan, OPEN_TIMEOUT_MS, on_opened, preparation);
}

/* One that is refused fails the freeze before anything is touched. */
static void on_hooks_loaded(const GError *failure, gpointer user_data)
{
	SfPreparation *preparation = user_data;

	if (failure)
		finish(preparation, failure);
	else if (preparation->plan)
		open_all(preparation);
}

static void on_planned(GVariant *answer, const GError *failure, gpointer user_data)
{
	SfPreparation *preparation = user_data;
	g_autoptr(GError) error = NULL;

	if (failure) {
		finish(preparation, failure);
		return;
	}
	preparation->plan = sf_plan_from_variant(answer, &error);
	if (!preparation->plan)
		finish(preparation, error);
	else if (sf_hooks_are_loaded(preparation->hooks))
		open_all(preparation);
}

static bool begin(SfPreparation *preparation, GError **error)
{
	g_clear_pointer(&preparation->plan, sf_plan_free);
	g_clear_pointer(&preparation->evidence, sf_evidence_free);
	preparation->evidence =
		sf_evidence_new(&preparation->settings->source,
				(const char *const *)preparation->mountpoints, error);
	if (!preparation->evidence)
		return false;
	sf_scout_ask(sf_evidence_scout(preparation->evidence), SF_SCOUT_PLAN, READ_TIMEOUT_MS,
		     on_planned, preparation);
	/* Both children are at work at the same time. */
	if (!sf_hooks_are_loaded(preparation->hooks))
		sf_hooks_load(preparation->hooks, on_hooks_loaded, preparation);
	return true;
}

SfPreparation *sf_preparation_start(const SfSessionSettings *settings, SfFreezerLink *link,
				    SfRecord *record, SfHooks *hooks, SfThrottle *throttle,
				    int64_t id, const SfFreezeRequest *request,
				    SfPreparationDone done, gpointer user_data)
{
	SfPreparation *preparation = g_new0(SfPreparation, 1);

	preparation->settings = settings;
	preparation->link = link;
	preparation->record = record;
	preparation->hooks = hooks;
	preparation->throttle = throttle;
	preparation->id = id;
	preparation->channel = g_strdup(request->channel);
	preparation->label = g_strdup(request->label);
	preparation->mountpoints = g_strdupv((char **)request->mountpoints);
	preparation->done = done;
	preparation->user_data = user_data;
	begin_later(preparation);
	return preparation;
}

void sf_preparation_free(SfPreparation *preparation)
{
	if (!preparation)
		return;
	if (preparation->idle)
		g_source_remove(preparation->idle);
	if (preparation->opener)
		sf_opener_cancel(preparation->opener);
	sf_hooks_stop(preparation->hooks);
	sf_throttle_stop(preparation->throttle);
	sf_plan_free(preparation->plan);
	sf_evidence_free(preparation->evidence);
	g_clear_error(&preparation->open_failure);
	g_strfreev(preparation->mountpoints);
	g_free(preparation->channel);
	g_free(preparation->label);
	g_free(preparation);
}

static void on_hooks_done(const GError *failure, gpointer user_data)
{
	SfPreparation *preparation = user_data;
	g_autoptr(GError) error = NULL;

	preparation->has_run_hooks = true;
	preparation->flush_begun_ms = sf_boottime_ms();
	if (failure)
		finish(preparation, failure);
	else if (sf_hooks_freezes(preparation->hooks)->len == 0)
		finish(preparation, NULL);
	else if (!flush(preparation, &error)) /* what the hooks had the applications write */
		finish(preparation, error);
}

static void drop_plan(SfPreparation *preparation)
{
	preparation->is_dropping = true;
	sf_throttle_restore(preparation->throttle);
	sf_freezer_link_send_thaw(preparation->link, SF_END_REQUEST);
}

static void on_flushed_checked(GVariant *answer, const GError *failure, gpointer user_data)
{
	SfPreparation *preparation = user_data;
	g_autoptr(GError) error = NULL;
	SfTablesChange change = SF_TABLES_UNCHANGED;

	if (!take_change(answer, failure, &change, &error))
		finish(preparation, error);
	else if (change != SF_TABLES_OTHER && !preparation->has_run_hooks)
		sf_hooks_freeze(preparation->hooks, on_hooks_done, preparation);
	else if (change != SF_TABLES_OTHER)
		finish(preparation, NULL);
	else if (!count_try(preparation, &error))
		finish(preparation, error);
	else
		drop_plan(preparation);
}

/* Where an endless load has begun during the flush, this comes later than its end. */
static void on_low_after(gpointer user_data)
{
	SfPreparation *preparation = user_data;

	preparation->flush_ms += sf_boottime_ms() - preparation->flush_begun_ms;
	sf_scout_ask(sf_evidence_scout(preparation->evidence), SF_SCOUT_CHECK_FLUSHED,
		     READ_TIMEOUT_MS, on_flushed_checked, preparation);
}

bool sf_preparation_take_message(SfPreparation *preparation, const struct sf_message *message)
{
	if (message->kind == SF_MESSAGE_FLUSHED) {
		sf_throttle_wait(preparation->throttle, on_low_after, preparation);
		return true;
	}
	if (!preparation->is_dropping)
		return false;
	if (message->kind == SF_MESSAGE_ENDED) {
		preparation->is_dropping = preparation->is_handed_over = false;
		begin_later(preparation);
	}
	return true;
}

bool sf_preparation_is_handed_over(const SfPreparation *preparation)
{
	return preparation->is_handed_over;
}

const SfPlan *sf_preparation_plan(const SfPreparation *preparation)
{
	return preparation->plan;
}

uint64_t sf_preparation_flush_ms(const SfPreparation *preparation)
{
	return preparation->flush_ms;
}

SfPlan *sf_preparation_steal_plan(SfPreparation *preparation)
{
	return g_steal_pointer(&preparation->plan);
}

SfEvidence *sf_preparation_steal_evidence(SfPreparation *preparation)
{
	return g_steal_pointer(&preparation->evidence);
}
