/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/record.h"

/* A freezer that runs, and our end of the socket to it; -1: there is none. */
typedef struct {
	pid_t pid;
	int pidfd, socket;
} SfFreezerProcess;

/**
 * sf_freezer_spawn:
 * @program: path of snapfreeze-freezer
 * @rehearse: it issues no ioctl
 * @record: shared with it
 * @out_process: for sf_freezer_process_clear()
 * @error: domain %SF_ERROR
 *
 * Starts the freezer, and waits ten seconds at most until it says that it is ready.
 */
bool sf_freezer_spawn(const char *program, bool rehearse, const SfRecord *record,
		      SfFreezerProcess *out_process, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Closes the socket: the freezer thaws what is frozen, and ends by itself. */
void sf_freezer_process_clear(SfFreezerProcess *process);
