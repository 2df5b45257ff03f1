/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The freezer's threads: each carries out the jobs of one target and notes in the record, right
 * before and right after each ioctl, whether the filesystem may be frozen by us. Called by main.c
 * only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/freezer/worker.h"

#define LEAST_STACK_BYTES (32 * 1024)
#define BUSY_LIMIT_US (2 * 1000 * 1000)
#define BUSY_PAUSE_MS 20

static uint32_t microseconds_since(const struct sf_worker *worker, uint64_t begun_us)
{
	uint64_t passed = worker->all->operations->now_us() - begun_us;

	return passed < UINT32_MAX ? (uint32_t)passed : UINT32_MAX;
}

static int flush(struct sf_worker *worker)
{
	uint64_t begun_us = worker->all->operations->now_us();
	int result = worker->all->operations->flush(worker->fd);

	uint32_t before_us = atomic_load(&worker->entry->flush_us);
	uint32_t took_us = microseconds_since(worker, begun_us);

	/* A second flush adds to the first. */
	atomic_store(&worker->entry->flush_us,
		     took_us < UINT32_MAX - before_us ? before_us + took_us : UINT32_MAX);
	return result;
}

static int freeze_once(struct sf_worker *worker)
{
	/* From here until the ioctl has answered, whoever finds us dead must take it for frozen. */
	atomic_store(&worker->entry->state, SF_ENTRY_FREEZING);
	int result = worker->all->operations->freeze(worker->fd);
	atomic_store(&worker->entry->state, result == 0 ? SF_ENTRY_FROZEN : SF_ENTRY_PLANNED);
	return result;
}

/* EBUSY may be the kernel's own short freeze (an LVM snapshot): worth two seconds, if nobody gave
 * up meanwhile. */
static int freeze_patiently(struct sf_worker *worker)
{
	struct sf_workers *all = worker->all;
	uint64_t begun_us = all->operations->now_us();

	for (;;) {
		/* It may have begun while this thread was not run, or paused. */
		if (atomic_load(&all->is_ending))
			return -ECANCELED;
		int result = freeze_once(worker);
		if (result != -EBUSY || atomic_load(&all->is_ending) ||
		    all->operations->now_us() - begun_us >= BUSY_LIMIT_US)
			return result;
		all->operations->pause_ms(BUSY_PAUSE_MS);
	}
}

/* What cannot freeze is synced where it would have been frozen, so that it is no older than the
 * others. */
static int sync_instead(struct sf_worker *worker)
{
	int result = worker->all->operations->flush(worker->fd);

	if (result == 0)
		atomic_store(&worker->entry->state, SF_ENTRY_SYNCED);
	return result == 0 ? -EOPNOTSUPP : result;
}

static int freeze(struct sf_worker *worker)
{
	uint64_t begun_us = worker->all->operations->now_us();
	int result = freeze_patiently(worker);

	if (result == -EOPNOTSUPP || result == -ENOTTY)
		result = sync_instead(worker);
	if (result == -EBUSY && worker->all->accept_foreign)
		atomic_store(&worker->entry->state, SF_ENTRY_FOREIGN);
	else if (result != 0 && result != -EOPNOTSUPP)
		atomic_store(&worker->entry->state, SF_ENTRY_FAILED);
	atomic_store(&worker->entry->freeze_us, microseconds_since(worker, begun_us));
	return result;
}

static int thaw(struct sf_worker *worker)
{
	uint64_t begun_us = worker->all->operations->now_us();

	atomic_store(&worker->entry->state, SF_ENTRY_THAWING);
	int result = worker->all->operations->thaw(worker->fd);
	bool is_over = result == 0 || result == -EINVAL;
	atomic_store(&worker->entry->state, is_over ? SF_ENTRY_THAWED : SF_ENTRY_FROZEN);
	atomic_store(&worker->entry->thaw_us, microseconds_since(worker, begun_us));
	return result;
}

static int carry_out(struct sf_worker *worker)
{
	switch (worker->job) {
	case SF_JOB_FLUSH:
		return flush(worker);
	case SF_JOB_FREEZE:
		return freeze(worker);
	case SF_JOB_THAW:
		return thaw(worker);
	default:
		return 0;
	}
}

static void *work(void *user_data)
{
	struct sf_worker *worker = user_data;
	uint64_t one = 1;

	atomic_store(&worker->entry->tid, (uint32_t)gettid());
	for (;;) {
		while (sem_wait(&worker->wake) != 0)
			;
		if (worker->job == SF_JOB_NONE)
			return NULL;
		worker->error = -carry_out(worker);
		atomic_store(&worker->entry->error, worker->error);
		atomic_store(&worker->is_done, true);
		/* An eventfd holds a count, so this cannot block before 2^64 jobs. */
		while (write(worker->all->done_event, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
}

void sf_worker_give(struct sf_worker *worker, enum sf_job job)
{
	worker->job = job;
	sem_post(&worker->wake);
}

/* Some machines want more: 128 KB on 64-bit ARM and POWER. A stack that is too small would not be
 * taken, and libc would make one of its own, of 8 MB, all of it locked in memory. */
static size_t stack_bytes(void)
{
	long least = sysconf(_SC_THREAD_STACK_MIN);

	return least > LEAST_STACK_BYTES ? ((size_t)least + 4095) / 4096 * 4096 : LEAST_STACK_BYTES;
}

static int start_one(struct sf_workers *workers, struct sf_worker *worker, char *stack,
		     size_t bytes)
{
	pthread_attr_t attributes;

	worker->all = workers;
	atomic_store(&worker->is_done, false);
	sem_init(&worker->wake, 0, 0);
	pthread_attr_init(&attributes);
	int reason = pthread_attr_setstack(&attributes, stack, bytes);
	if (reason == 0)
		reason = pthread_create(&worker->thread, &attributes, work, worker);
	pthread_attr_destroy(&attributes);
	if (reason != 0)
		sem_destroy(&worker->wake);
	return -reason;
}

int sf_workers_start(struct sf_workers *workers, unsigned int count)
{
	workers->count = 0;
	atomic_store(&workers->is_ending, false);
	if (count == 0)
		return 0;
	/* Populated and, by mlockall's MCL_FUTURE, locked: no page of a stack is missing once we
	 * hold writers. */
	size_t each = stack_bytes(), bytes = count * each;
	workers->stacks = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_POPULATE, -1, 0);
	if (workers->stacks == MAP_FAILED)
		return -errno;
	workers->stacks_bytes = bytes;
	for (unsigned int i = 0; i < count; i++) {
		int result =
			start_one(workers, &workers->workers[i], workers->stacks + i * each, each);
		if (result < 0) {
			sf_workers_stop(workers);
			return result;
		}
		workers->count++;
	}
	return 0;
}

void sf_workers_stop(struct sf_workers *workers)
{
	for (unsigned int i = 0; i < workers->count; i++)
		sf_worker_give(&workers->workers[i], SF_JOB_NONE);
	for (unsigned int i = 0; i < workers->count; i++) {
		pthread_join(workers->workers[i].thread, NULL);
		sem_destroy(&workers->workers[i].wake);
	}
	if (workers->stacks_bytes > 0)
		munmap(workers->stacks, workers->stacks_bytes);
	workers->stacks_bytes = 0;
	workers->count = 0;
}
