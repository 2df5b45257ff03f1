/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/course.h"
#include "client/host.h"

typedef enum {
	SF_VERDICT_NONE, /* there is no snapshot */
	SF_VERDICT_CONSISTENT,
	SF_VERDICT_INCONSISTENT,
	SF_VERDICT_UNKNOWN, /* QEMU's own agent cannot tell */
} SfVerdict;

/* A snapshot and what became of it. */
typedef struct {
	SfHost *host;
	const char *label; /* of the freeze */
	SfCourse course;
	SfVerdict verdict;
	const char *why; /* (nullable): why it is inconsistent, beside what the agent says */
} SfSnapshot;

/**
 * sf_snapshot_take:
 *
 * Freezes, has the host take the snapshot, thaws, and waits until backups are whole. Whatever
 * happens, nothing stays frozen and nothing half made is left, or it is said what is.
 *
 * Returns: the exit status; @snapshot->verdict tells whether there is something to report
 */
SfExit sf_snapshot_take(SfInvocation *invocation, SfSnapshot *snapshot);
