/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/outcome: each verdict has its reason, and the channel that froze is told it. */
#include "config.h"

#include <glib/gstdio.h>

#include "agent/outcome.h"

typedef struct {
	char *folder;
	SfRecord *record;
	SfOutcome outcome;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	fixture->folder = g_dir_make_tmp("snapfreeze-outcome-XXXXXX", NULL);
	fixture->record = sf_record_open(fixture->folder, false, &error);
	g_assert_no_error(error);
	sf_outcome_init(&fixture->outcome);
	fixture->outcome.id = 1;
	fixture->outcome.channel = g_strdup("main");
	fixture->outcome.frozen = 1;
	atomic_store(&fixture->record->map->begun_ms, 10000);
	atomic_store(&fixture->record->map->ended_ms, 17000);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	sf_outcome_clear(&fixture->outcome);
	g_unlink(fixture->record->path);
	g_rmdir(fixture->folder);
	sf_record_close(fixture->record);
	g_free(fixture->folder);
}

static void settle(Fixture *fixture, enum sf_end end, bool was_judged, const char *thawed_by)
{
	atomic_store(&fixture->record->map->end, end);
	fixture->outcome.is_consistent = was_judged;
	sf_outcome_settle(&fixture->outcome, fixture->record, thawed_by);
}

static void assert_complaint(Fixture *fixture, const char *channel, const char *expected)
{
	g_autofree char *text = sf_outcome_complain(&fixture->outcome, channel);

	g_assert_cmpstr(text, ==, expected);
}

static void test_held(Fixture *fixture, gconstpointer data)
{
	settle(fixture, SF_END_REQUEST, true, "main");
	g_assert_true(fixture->outcome.is_consistent);
	g_assert_cmpuint(fixture->outcome.frozen_ms, ==, 7000);
	g_assert_cmpuint(fixture->record->map->verdict, ==, SF_VERDICT_CONSISTENT);
	assert_complaint(fixture, "main", NULL);
}

static void test_thawed_by_another(Fixture *fixture, gconstpointer data)
{
	settle(fixture, SF_END_REQUEST, true, "other");
	assert_complaint(fixture, "main",
			 "freeze was thawed after 7 s through channel 'other': the snapshot may be "
			 "inconsistent");
	assert_complaint(fixture, "other", NULL);
}

static void test_of_more_than_one_channel(Fixture *fixture, gconstpointer data)
{
	const char *expected = "freeze did not hold (after 7 s: agent and freezer died): the "
			       "snapshot may be inconsistent";

	settle(fixture, SF_END_RECOVERED, true, NULL);
	*fixture->outcome.channel = '\0';
	assert_complaint(fixture, "main", expected);
	assert_complaint(fixture, "other", expected);
}

static void test_deadline(Fixture *fixture, gconstpointer data)
{
	settle(fixture, SF_END_DEADLINE, true, NULL);
	assert_complaint(fixture, "main",
			 "freeze expired after 7 s: the snapshot may be inconsistent");
	assert_complaint(fixture, "other", NULL);
}

static void test_blamed(Fixture *fixture, gconstpointer data)
{
	sf_outcome_blame(&fixture->outcome, "'%s' was written to", "/srv");
	sf_outcome_blame(&fixture->outcome, "'%s' was written to", "/srv");
	settle(fixture, SF_END_AGENT_GONE, true, NULL);
	assert_complaint(fixture, "main",
			 "freeze did not hold (after 7 s: '/srv' was written to; the agent died): "
			 "the snapshot may be inconsistent");
}

/* The same words as before it. */
static void test_after_a_restart(Fixture *fixture, gconstpointer data)
{
	g_autofree char *before = NULL;

	sf_outcome_blame(&fixture->outcome, "'/srv' was written to");
	fixture->record->map->id = fixture->outcome.id;
	g_strlcpy(fixture->record->map->channel, fixture->outcome.channel,
		  sizeof(fixture->record->map->channel));
	settle(fixture, SF_END_REQUEST, true, "main");
	before = sf_outcome_complain(&fixture->outcome, "main");
	sf_outcome_clear(&fixture->outcome);
	sf_outcome_init(&fixture->outcome);
	sf_outcome_load(&fixture->outcome, fixture->record);
	g_assert_nonnull(before);
	assert_complaint(fixture, "main", before);
}

/* What was not looked at before the thaw is not consistent; that is a reason, too. */
static void test_nobody_looked(Fixture *fixture, gconstpointer data)
{
	settle(fixture, SF_END_REQUEST, false, "main");
	assert_complaint(fixture, "main",
			 "freeze did not hold (after 7 s: nobody has seen whether it held): the "
			 "snapshot may be inconsistent");
}

#define ADD(path, test) g_test_add(path, Fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/outcome/held", test_held);
	ADD("/outcome/thawed-by-another", test_thawed_by_another);
	ADD("/outcome/of-more-than-one-channel", test_of_more_than_one_channel);
	ADD("/outcome/deadline", test_deadline);
	ADD("/outcome/blamed", test_blamed);
	ADD("/outcome/after-a-restart", test_after_a_restart);
	ADD("/outcome/nobody-looked", test_nobody_looked);
	return g_test_run();
}
