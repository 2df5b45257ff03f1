/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/recovery: the ways to what an earlier agent has left frozen, in a rehearsal. */
#include "config.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "agent/recovery.h"
#include "qa/unit/fake-machine.h"

typedef struct {
	GMainLoop *loop;
	unsigned int thawed;
	GError *error;
} Outcome;

static void on_recovered(unsigned int thawed, const GError *error, gpointer user_data)
{
	Outcome *outcome = user_data;

	outcome->thawed = thawed;
	outcome->error = error ? g_error_copy(error) : NULL;
	g_main_loop_quit(outcome->loop);
}

static Outcome recover(SfRecord *record, const SfPlanSource *source)
{
	Outcome outcome = {.loop = g_main_loop_new(NULL, FALSE)};
	SfRecovery *recovery = sf_recovery_start(record, source, true, on_recovered, &outcome);

	g_main_loop_run(outcome.loop);
	g_main_loop_unref(outcome.loop);
	sf_recovery_free(recovery);
	return outcome;
}

/* 8:1 is frozen, and what the table says of it leads nowhere. */
static void check_recovery(bool is_kept)
{
	g_autoptr(FakeMachine) machine =
		fake_machine_new("36 1 8:1 / /nowhere/at-all rw - ext4 /dev/sda1 rw\n");
	g_autofree char *folder = g_dir_make_tmp("snapfreeze-recovery-XXXXXX", NULL);
	g_autoptr(SfRecord) record = sf_record_open(folder, false, NULL);

	g_assert_nonnull(record);
	machine->source.own_namespace_only = true;
	record->map->count = 1;
	record->map->entries[0].major = 8;
	record->map->entries[0].minor = 1;
	atomic_store(&record->map->entries[0].state, SF_ENTRY_FROZEN);
	Outcome outcome = recover(record, &machine->source);
	g_unlink(record->path);
	g_rmdir(folder);
	if (is_kept)
		g_assert_no_error(outcome.error);
	else
		g_assert_nonnull(outcome.error);
	g_assert_cmpuint(outcome.thawed, ==, is_kept ? 1 : 0);
	g_assert_cmpuint(sf_record_count_ours(record), ==, is_kept ? 0 : 1);
	g_clear_error(&outcome.error);
}

/* As the service manager starts a process that has left it a descriptor. */
static void check_kept(void)
{
	g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(dup2(fd, 3), ==, 3);
	g_setenv("LISTEN_PID", pid, TRUE);
	g_setenv("LISTEN_FDNAMES", "frozen-8-1", TRUE);
	check_recovery(true);
}

static void test_what_cannot_be_opened_is_thawed_by_what_was_kept(void)
{
	/* In a process of its own: the numbers from 3 on are anybody's here. */
	if (g_test_subprocess()) {
		check_kept();
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

static void test_what_cannot_be_opened_stays_ours(void)
{
	check_recovery(false);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/recovery/what-cannot-be-opened-is-thawed-by-what-was-kept",
			test_what_cannot_be_opened_is_thawed_by_what_was_kept);
	g_test_add_func("/recovery/what-cannot-be-opened-stays-ours",
			test_what_cannot_be_opened_stays_ours);
	return g_test_run();
}
