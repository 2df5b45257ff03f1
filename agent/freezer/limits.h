/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "agent/freezer/record.h"

/*
 * The kernel's limits of dirty memory, vm.dirty_* and vm.dirty_background_*, while a flush has them
 * lowered: each is in force either as bytes or as a ratio, and writing one zeroes its twin. The
 * record says what to restore, so whoever is left can do it. Only libc, since the freezer restores
 * them too; a write here needs no filesystem but /proc.
 */
struct sf_limits {
	struct sf_record_limits *record;
	int bytes[SF_LIMIT_COUNT], ratio[SF_LIMIT_COUNT]; /* fds; -1 all of them: none to be had */
};

/* Opens what is in @proc/sys/vm for writing. Returns: 0, or -errno; then nothing is open. */
int sf_limits_open(struct sf_limits *limits, const char *proc, struct sf_record_limits *record);
void sf_limits_close(struct sf_limits *limits);

/* Notes in the record what is in force. Returns: 0, or -errno. */
int sf_limits_save(struct sf_limits *limits);

/* Writes one of the limits that were saved.
 * Returns: 0; -EBUSY: it is not ours any more, somebody else has set it; or another -errno */
int sf_limits_lower(struct sf_limits *limits, enum sf_limit which, uint64_t bytes);

/* Restores what was saved, where the value in force is still ours. Where nothing was, does nothing;
 * allocates nothing, and may be called by two at once, and again. Returns: 0, or -errno. */
int sf_limits_restore(struct sf_limits *limits);
/* Nothing is left to restore. Not for the freezer: who lowers may do so once more, not knowing yet
 * that all was restored. */
void sf_limits_forget(struct sf_limits *limits);
