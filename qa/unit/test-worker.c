/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/freezer/worker: what the record says before, within and after each ioctl; patience with
 * EBUSY; syncing what cannot freeze. The ioctls are played: nothing here can freeze anything.
 */
#include "config.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/freezer/worker.h"

/* What the played ioctls see and do; threads read it, the test writes it while they are idle. */
static struct {
	struct sf_record_entry entries[4];
	int freeze_result, thaw_result, flush_result;
	uint64_t flush_us;      /* how long each takes */
	_Atomic int busy_times; /* EBUSY so often first */
	_Atomic int freezes, thaws, flushes, pauses;
	_Atomic uint64_t clock_us;
	_Atomic uint32_t state_within;
	struct sf_workers *ending_in_pause; /* an ending begins while a thread pauses */
} play;

long __real_sysconf(int name);
long __wrap_sysconf(int name);

static long least_stack_bytes;

long __wrap_sysconf(int name)
{
	return name == _SC_THREAD_STACK_MIN && least_stack_bytes ? least_stack_bytes
								 : __real_sysconf(name);
}

static int play_freeze(int fd)
{
	atomic_fetch_add(&play.freezes, 1);
	atomic_store(&play.state_within, atomic_load(&play.entries[fd].state));
	if (atomic_load(&play.busy_times) > 0) {
		atomic_fetch_sub(&play.busy_times, 1);
		return -EBUSY;
	}
	return play.freeze_result;
}

static int play_thaw(int fd)
{
	atomic_fetch_add(&play.thaws, 1);
	atomic_store(&play.state_within, atomic_load(&play.entries[fd].state));
	return play.thaw_result;
}

static int play_flush(int fd)
{
	atomic_fetch_add(&play.flushes, 1);
	atomic_fetch_add(&play.clock_us, play.flush_us);
	return play.flush_result;
}

static uint64_t play_now(void)
{
	return atomic_load(&play.clock_us);
}

static void play_pause(unsigned int ms)
{
	atomic_fetch_add(&play.pauses, 1);
	if (play.ending_in_pause)
		atomic_store(&play.ending_in_pause->is_ending, true);
	atomic_fetch_add(&play.clock_us, ms * 1000);
}

static const struct sf_operations operations = {play_freeze, play_thaw, play_flush, play_now,
						play_pause};

static struct sf_workers *workers_new(unsigned int count)
{
	struct sf_workers *workers = g_new0(struct sf_workers, 1);

	memset(&play, 0, sizeof(play));
	workers->operations = &operations;
	workers->done_event = eventfd(0, EFD_CLOEXEC);
	for (unsigned int i = 0; i < count; i++) {
		workers->workers[i].fd = (int)i;
		workers->workers[i].entry = &play.entries[i];
	}
	g_assert_cmpint(sf_workers_start(workers, count), ==, 0);
	return workers;
}

static void workers_free(struct sf_workers *workers)
{
	sf_workers_stop(workers);
	close(workers->done_event);
	g_free(workers);
}

/* Gives worker 0 a job and waits for its end. Returns: its error. */
static int do_job(struct sf_workers *workers, enum sf_job job)
{
	uint64_t count;

	sf_worker_give(&workers->workers[0], job);
	g_assert_cmpint(read(workers->done_event, &count, sizeof(count)), ==, sizeof(count));
	g_assert_true(atomic_exchange(&workers->workers[0].is_done, false));
	return workers->workers[0].error;
}

static uint32_t state(void)
{
	return atomic_load(&play.entries[0].state);
}

static void test_record_knows_before_the_ioctl(void)
{
	struct sf_workers *workers = workers_new(1);

	g_assert_cmpint(do_job(workers, SF_JOB_FLUSH), ==, 0);
	g_assert_cmpuint(state(), ==, SF_ENTRY_PLANNED);
	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, 0);
	g_assert_cmpuint(play.state_within, ==, SF_ENTRY_FREEZING);
	g_assert_cmpuint(state(), ==, SF_ENTRY_FROZEN);
	g_assert_cmpuint(play.entries[0].tid, !=, 0);
	g_assert_cmpint(do_job(workers, SF_JOB_THAW), ==, 0);
	g_assert_cmpuint(play.state_within, ==, SF_ENTRY_THAWING);
	g_assert_cmpuint(state(), ==, SF_ENTRY_THAWED);
	workers_free(workers);
}

static void test_failure_is_not_ours(void)
{
	struct sf_workers *workers = workers_new(1);

	play.freeze_result = -EIO;
	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, EIO);
	g_assert_cmpuint(state(), ==, SF_ENTRY_FAILED);
	g_assert_cmpint(play.entries[0].error, ==, EIO);
	workers_free(workers);
}

static void test_short_foreign_freeze_is_waited_for(void)
{
	struct sf_workers *workers = workers_new(1);

	atomic_store(&play.busy_times, 10);
	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, 0);
	g_assert_cmpint(play.freezes, ==, 11);
	g_assert_cmpint(play.pauses, ==, 10);
	g_assert_cmpuint(state(), ==, SF_ENTRY_FROZEN);
	workers_free(workers);
}

static void test_long_foreign_freeze_fails_after_two_seconds(void)
{
	struct sf_workers *workers = workers_new(1);

	play.freeze_result = -EBUSY;
	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, EBUSY);
	g_assert_cmpuint(play.clock_us, ==, 2000000);
	/* Nothing that the rescue would thaw: it is somebody else's. */
	g_assert_cmpuint(state(), ==, SF_ENTRY_FAILED);
	workers_free(workers);
}

static void test_roll_back_ends_the_patience(void)
{
	struct sf_workers *workers = workers_new(1);

	play.freeze_result = -EBUSY;
	play.ending_in_pause = workers;
	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, ECANCELED);
	g_assert_cmpint(play.freezes, ==, 1);
	g_assert_cmpuint(state(), ==, SF_ENTRY_FAILED);
	workers_free(workers);
}

static void test_no_freeze_begins_after_the_ending(void)
{
	struct sf_workers *workers = workers_new(1);

	atomic_store(&workers->is_ending, true);
	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, ECANCELED);
	g_assert_cmpint(play.freezes, ==, 0);
	g_assert_cmpuint(state(), ==, SF_ENTRY_FAILED);
	workers_free(workers);
}

static void test_foreign_freeze_can_be_accepted(void)
{
	struct sf_workers *workers = workers_new(1);

	workers->accept_foreign = true;
	play.freeze_result = -EBUSY;
	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, EBUSY);
	g_assert_cmpuint(state(), ==, SF_ENTRY_FOREIGN);
	workers_free(workers);
}

static void test_what_cannot_freeze_is_synced(void)
{
	static const int answers[] = {-EOPNOTSUPP, -ENOTTY};

	for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
		struct sf_workers *workers = workers_new(1);
		play.freeze_result = answers[i];
		g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, EOPNOTSUPP);
		g_assert_cmpint(play.flushes, ==, 1);
		g_assert_cmpuint(state(), ==, SF_ENTRY_SYNCED);
		play.flush_result = -EIO;
		g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, EIO);
		g_assert_cmpuint(state(), ==, SF_ENTRY_FAILED);
		workers_free(workers);
	}
}

static void test_a_second_flush_adds_to_the_first(void)
{
	struct sf_workers *workers = workers_new(1);

	play.flush_us = 300;
	g_assert_cmpint(do_job(workers, SF_JOB_FLUSH), ==, 0);
	g_assert_cmpuint(atomic_load(&play.entries[0].flush_us), ==, 300);
	g_assert_cmpint(do_job(workers, SF_JOB_FLUSH), ==, 0);
	g_assert_cmpuint(atomic_load(&play.entries[0].flush_us), ==, 600);
	play.flush_us = UINT32_MAX;
	g_assert_cmpint(do_job(workers, SF_JOB_FLUSH), ==, 0);
	g_assert_cmpuint(atomic_load(&play.entries[0].flush_us), ==, UINT32_MAX);
	workers_free(workers);
}

static void test_failed_thaw_stays_ours(void)
{
	struct sf_workers *workers = workers_new(1);

	g_assert_cmpint(do_job(workers, SF_JOB_FREEZE), ==, 0);
	play.thaw_result = -EIO;
	g_assert_cmpint(do_job(workers, SF_JOB_THAW), ==, EIO);
	g_assert_cmpuint(state(), ==, SF_ENTRY_FROZEN);
	play.thaw_result = -EINVAL;
	g_assert_cmpint(do_job(workers, SF_JOB_THAW), ==, EINVAL);
	g_assert_cmpuint(state(), ==, SF_ENTRY_THAWED);
	g_assert_cmpint(play.entries[0].error, ==, EINVAL);
	workers_free(workers);
}

/* 64-bit ARM wants 128 KB; of less, libc makes stacks of its own. */
static void test_stacks_are_as_large_as_the_machine_wants(void)
{
	least_stack_bytes = 128 * 1024 + 1;
	struct sf_workers *workers = workers_new(3);
	size_t each = workers->stacks_bytes / 3;
	pthread_attr_t attributes;
	void *stack;
	size_t bytes;

	least_stack_bytes = 0;
	g_assert_cmpuint(each, >, 128 * 1024);
	g_assert_cmpint(pthread_getattr_np(workers->workers[2].thread, &attributes), ==, 0);
	g_assert_cmpint(pthread_attr_getstack(&attributes, &stack, &bytes), ==, 0);
	pthread_attr_destroy(&attributes);
	g_assert_true((char *)stack == workers->stacks + 2 * each);
	g_assert_cmpuint(bytes, ==, each);
	workers_free(workers);
}

static void test_threads_start_and_stop(void)
{
	struct sf_workers *workers = workers_new(4);

	g_assert_cmpuint(workers->count, ==, 4);
	sf_workers_stop(workers);
	g_assert_cmpuint(workers->count, ==, 0);
	g_assert_cmpint(sf_workers_start(workers, 2), ==, 0);
	workers_free(workers);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/worker/record-knows-before-the-ioctl",
			test_record_knows_before_the_ioctl);
	g_test_add_func("/worker/failure-is-not-ours", test_failure_is_not_ours);
	g_test_add_func("/worker/short-foreign-freeze-is-waited-for",
			test_short_foreign_freeze_is_waited_for);
	g_test_add_func("/worker/long-foreign-freeze-fails-after-two-seconds",
			test_long_foreign_freeze_fails_after_two_seconds);
	g_test_add_func("/worker/roll-back-ends-the-patience", test_roll_back_ends_the_patience);
	g_test_add_func("/worker/no-freeze-begins-after-the-ending",
			test_no_freeze_begins_after_the_ending);
	g_test_add_func("/worker/foreign-freeze-can-be-accepted",
			test_foreign_freeze_can_be_accepted);
	g_test_add_func("/worker/what-cannot-freeze-is-synced", test_what_cannot_freeze_is_synced);
	g_test_add_func("/worker/a-second-flush-adds-to-the-first",
			test_a_second_flush_adds_to_the_first);
	g_test_add_func("/worker/failed-thaw-stays-ours", test_failed_thaw_stays_ours);
	g_test_add_func("/worker/stacks-are-as-large-as-the-machine-wants",
			test_stacks_are_as_large_as_the_machine_wants);
	g_test_add_func("/worker/threads-start-and-stop", test_threads_start_and_stop);
	return g_test_run();
}
