/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/freezer-link: an agent that was held up takes no healthy freezer for a silent one. With a
 * real freezer that rehearses. */
#include "config.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "agent/freezer-link.h"
#include "agent/target.h"

/* Above the two seconds in which a thaw must be acknowledged. */
#define HELD_UP_US (2500 * G_TIME_SPAN_MILLISECOND)
#define LONG_MS 60000

typedef struct {
	char *folder;
	SfRecord *record;
	SfPlan *plan;
	SfFreezerLink *link;
	uint32_t heard; /* the kind of the last message */
	char *gone;
} Rig;

static void on_message(const struct sf_message *message, gpointer user_data)
{
	((Rig *)user_data)->heard = message->kind;
}

static void on_gone(const char *why, gpointer user_data)
{
	((Rig *)user_data)->gone = g_strdup(why);
}

static SfPlan *plan_new(void)
{
	SfPlan *plan = sf_plan_new_empty();
	SfTarget *target = g_new0(SfTarget, 1);

	target->routes = g_array_new(FALSE, FALSE, sizeof(SfRoute));
	target->devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	target->fstype = g_strdup("proc");
	target->fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_ptr_array_add(plan->targets, target);
	return plan;
}

static void set_up(Rig *rig, gconstpointer data)
{
	static const SfFreezerLinkEvents events = {on_message, on_gone};
	g_autofree char *program =
		g_test_build_filename(G_TEST_BUILT, "..", "..", "snapfreeze-freezer", NULL);
	g_autoptr(GError) error = NULL;

	rig->folder = g_dir_make_tmp("snapfreeze-link-XXXXXX", NULL);
	rig->record = sf_record_open(rig->folder, false, &error);
	g_assert_no_error(error);
	rig->plan = plan_new();
	rig->link = sf_freezer_link_start(program, true, rig->record, &events, rig, &error);
	g_assert_no_error(error);
}

static void tear_down(Rig *rig, gconstpointer data)
{
	sf_freezer_link_free(rig->link);
	sf_plan_free(rig->plan);
	g_unlink(rig->record->path);
	sf_record_close(rig->record);
	g_rmdir(rig->folder);
	g_free(rig->folder);
	g_free(rig->gone);
}

static void hear(Rig *rig, uint32_t kind)
{
	while (rig->heard != kind && !rig->gone)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpstr(rig->gone, ==, NULL);
}

static void freeze(Rig *rig)
{
	g_autoptr(GError) error = NULL;

	sf_record_begin(rig->record, 1, "test", NULL, rig->plan);
	g_assert_true(sf_freezer_link_send_plan(rig->link, rig->plan, 1, false, &error));
	g_assert_true(sf_freezer_link_send_flush(rig->link, LONG_MS, &error));
	hear(rig, SF_MESSAGE_FLUSHED);
	g_assert_true(sf_freezer_link_send_freeze(rig->link, LONG_MS, LONG_MS, LONG_MS, &error));
	hear(rig, SF_MESSAGE_FROZEN);
}

/* More than one answer waits by then, and they are read one by one. */
static void test_an_agent_that_was_held_up_reads_first(Rig *rig, gconstpointer data)
{
	freeze(rig);
	g_assert_true(sf_freezer_link_send_extend(rig->link, LONG_MS, NULL));
	sf_freezer_link_send_thaw(rig->link, SF_END_REQUEST);
	g_usleep(HELD_UP_US);
	hear(rig, SF_MESSAGE_ENDED);
	g_assert_cmpuint(atomic_load(&rig->record->map->end), ==, SF_END_REQUEST);
}

/* The same after a suspension, from which both wake up with the deadline passed. */
static void test_a_deadline_is_heard_of_first(Rig *rig, gconstpointer data)
{
	freeze(rig);
	for (int i = 0; i < 3; i++)
		g_assert_true(sf_freezer_link_send_extend(rig->link, 1, NULL));
	hear(rig, SF_MESSAGE_EXTENDED);
	g_usleep(HELD_UP_US);
	hear(rig, SF_MESSAGE_ENDED);
	g_assert_cmpuint(atomic_load(&rig->record->map->end), ==, SF_END_DEADLINE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/freezer-link/an-agent-that-was-held-up-reads-first", Rig, NULL, set_up,
		   test_an_agent_that_was_held_up_reads_first, tear_down);
	g_test_add("/freezer-link/a-deadline-is-heard-of-first", Rig, NULL, set_up,
		   test_a_deadline_is_heard_of_first, tear_down);
	return g_test_run();
}
