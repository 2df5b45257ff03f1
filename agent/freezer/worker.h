/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "agent/freezer/core.h"
#include "agent/freezer/ioctls.h"

/*
 * A thread per target: neither FIFREEZE nor FITHAW nor syncfs can be interrupted, so each may hang
 * without holding up another, or the loop. All of them are made before the first freeze and end
 * after the last thaw.
 */
struct sf_worker {
	struct sf_workers *all;
	struct sf_record_entry *entry;
	int fd;
	pthread_t thread;
	sem_t wake;
	enum sf_job job; /* set before wake; SF_JOB_NONE: end */
	int error;       /* of the job, positive; valid once is_done */
	_Atomic bool is_done;
};

struct sf_workers {
	const struct sf_operations *operations;
	int done_event; /* eventfd: some worker is done */
	bool accept_foreign;
	_Atomic bool is_ending; /* no use in waiting for a foreign freeze to pass */
	unsigned int count;
	char *stacks; /* one mapping, populated and locked */
	size_t stacks_bytes;
	struct sf_worker workers[SF_RECORD_MAX_ENTRIES];
};

/* Starts a thread for each of the first @count workers, whose fds and entries are set. Returns: 0
 * or -errno; then none runs. */
int sf_workers_start(struct sf_workers *workers, unsigned int count);
/* Ends the threads, none of which may be at work, and unmaps their stacks. */
void sf_workers_stop(struct sf_workers *workers);
/* Hands a job to an idle worker. Allocates nothing, waits for nothing. */
void sf_worker_give(struct sf_worker *worker, enum sf_job job);
