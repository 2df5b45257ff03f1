/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The children of one agent that do what may block. At most 64 at a time, with those that hang. */
typedef struct SfErrands SfErrands;

SfErrands *sf_errands_new(void);
/* Ends them; none is answered any more. */
void sf_errands_free(SfErrands *errands);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfErrands, sf_errands_free)

/**
 * SfErrandWork:
 * @fd: what is written here is the result
 *
 * Runs in a child that is forked for it and has no other fd than the standard ones. It gets what
 * the agent's memory held at that moment, and must not log.
 */
typedef void (*SfErrandWork)(int fd, gpointer work_data);

/**
 * SfErrandDone:
 * @output: what was written
 * @is_whole: the child has ended; false where it was given up, or could not be started
 *
 * Called once, from the main loop.
 */
typedef void (*SfErrandDone)(const GByteArray *output, bool is_whole, gpointer user_data);

/**
 * sf_errand_start:
 * @work_data: read by the child only; it may be freed as soon as this returns
 * @timeout_ms: how long the child may write nothing before it is given up; 0: for ever
 *
 * Has a short-lived child do what may block: looking at a filesystem, a device, a file on a disk. A
 * child that hangs in the kernel is left behind, and is reaped whenever that ends.
 */
void sf_errand_start(SfErrands *errands, SfErrandWork work, gpointer work_data,
		     unsigned int timeout_ms, SfErrandDone done, gpointer user_data);
/* The same; the child has @keep_fd too. */
void sf_errand_start_with(SfErrands *errands, int keep_fd, SfErrandWork work, gpointer work_data,
			  unsigned int timeout_ms, SfErrandDone done, gpointer user_data);

/* (transfer full) (not nullable): an output as text, up to its first NUL. */
char *sf_errand_text(const GByteArray *output);

/* For the child: writes all of it; false where nobody reads any more. */
bool sf_errand_write(int fd, const void *data, size_t size);
