/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/freezer/messages.h"
#include "agent/plan.h"
#include "agent/record.h"

/**
 * SfFreezerLink: the agent's end of the freezer: starts the process, speaks with it, sends the
 * heartbeat and notices when it dies, is stopped or hangs.
 */
typedef struct SfFreezerLink SfFreezerLink;

typedef struct {
	void (*message)(const struct sf_message *message, gpointer user_data);
	/* The freezer died, is stopped or does not answer. Called once; only the rescue can thaw
	 * from here on. */
	void (*gone)(const char *why, gpointer user_data);
} SfFreezerLinkEvents;

/**
 * sf_freezer_link_start:
 * @program: path of snapfreeze-freezer
 * @rehearse: it issues no ioctl
 * @record: shared with it; must outlive the link
 * @events: called from the main loop
 * @error: domain %SF_ERROR: it cannot be started, or said no within ten seconds that it is ready
 *
 * Returns: (transfer full) (nullable): free with sf_freezer_link_free(), which closes the socket:
 * the freezer then thaws what is frozen and ends
 */
SfFreezerLink *sf_freezer_link_start(const char *program, bool rehearse, SfRecord *record,
				     const SfFreezerLinkEvents *events, gpointer user_data,
				     GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_freezer_link_free(SfFreezerLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfFreezerLink, sf_freezer_link_free)

pid_t sf_freezer_link_pid(const SfFreezerLink *link);
/* An fd of the process, the link's, for the rescue. */
int sf_freezer_link_pidfd(const SfFreezerLink *link);

/* Hands over the plan with its fds and edges. From here on the heartbeat beats, until _ENDED. */
bool sf_freezer_link_send_plan(SfFreezerLink *link, const SfPlan *plan, unsigned int parallel,
			       bool accept_foreign, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Flushes all of the plan; answered by SF_MESSAGE_FLUSHED or _ENDING. */
bool sf_freezer_link_send_flush(SfFreezerLink *link, uint64_t timeout_ms,
				GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Freezes; answered by SF_MESSAGE_FROZEN or _ENDING. */
bool sf_freezer_link_send_freeze(SfFreezerLink *link, uint64_t timeout_ms, uint64_t lease_ms,
				 uint64_t maximum_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sf_freezer_link_send_extend(SfFreezerLink *link, uint64_t lease_ms,
				 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Ends what is under way. Where it is not acknowledged in 2 s, the freezer counts as gone. */
void sf_freezer_link_send_thaw(SfFreezerLink *link, enum sf_end reason);
