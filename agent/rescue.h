/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/record.h"

/**
 * SfRescue: thaws by the record what a freezer left behind that is dead, or that is to die:
 * SIGKILL, wait until none of its threads can act any more, then FITHAW on each superblock that the
 * record calls ours, each in a child of its own, since FITHAW may hang. What a thread in D state
 * still holds is thawed when that thread is gone.
 */
typedef struct SfRescue SfRescue;

/* Called once, from the main loop: nothing of ours is frozen any more, and the freezer is gone. */
typedef void (*SfRescueDone)(gpointer user_data);

/**
 * sf_rescue_start:
 * @record: must outlive the rescue
 * @freezer: pid of the freezer, 0 where it is known to be gone
 * @pidfd: of it, -1 where it is gone; not owned
 * @fds: one for each of the record's entries, -1 where there is none (that entry then stays as it
 * is); copied, not owned
 * @rehearse: issue no ioctl
 */
SfRescue *sf_rescue_start(SfRecord *record, pid_t freezer, int pidfd, const int *fds, bool rehearse,
			  SfRescueDone done, gpointer user_data);
/* Leaves what is not done undone; children that hang stay until they return. */
void sf_rescue_free(SfRescue *rescue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfRescue, sf_rescue_free)
