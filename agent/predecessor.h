/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/record.h"

/*
 * qemu-ga, in whose place this agent was put. What it froze stays frozen when it is stopped or
 * dies; all that tells of it is a note, qga.state.isfrozen, in its state folder. What no qemu-ga is
 * left to thaw is taken over into our record, and thawed like what an earlier agent of ours left.
 */

/* Where to look. */
typedef struct {
	char **folders;        /* that may hold the note; owned */
	const char *proc;      /* "/proc" */
	const char *mountinfo; /* "/proc/self/mountinfo" */
} SfPredecessorSource;

void sf_predecessor_source_clear(SfPredecessorSource *source);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SfPredecessorSource, sf_predecessor_source_clear)

typedef enum {
	SF_PREDECESSOR_NONE, /* there is no note */
	SF_PREDECESSOR_RUNS, /* it may be asked to thaw yet */
	SF_PREDECESSOR_GONE, /* it has left the guest frozen */
} SfPredecessor;

/**
 * sf_predecessor_folders:
 * @qemu_ga_conf: its configuration, which may name one
 * @statedir: ours, which was its where we were given its options
 *
 * Returns: (transfer full): what may be its state folder, NULL-terminated
 */
char **sf_predecessor_folders(const char *qemu_ga_conf, const char *statedir);

/* @out_pid: of the qemu-ga that runs, with %SF_PREDECESSOR_RUNS. */
SfPredecessor sf_predecessor_find(const SfPredecessorSource *source, pid_t *out_pid);

/**
 * sf_predecessor_adopt:
 * @hook: (nullable): qemu-ga's, which it told to freeze
 * @record: its freezer is gone
 * @error: domain %SF_ERROR
 *
 * Writes all that qemu-ga may have frozen into @record as frozen by us, for the recovery, and then
 * takes the note away. Whether each is frozen its thaw will tell: nothing else does. Where an
 * earlier agent of ours has left something frozen too, it becomes part of that freeze.
 */
bool sf_predecessor_adopt(const SfPredecessorSource *source, const char *hook, SfRecord *record,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
