/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/configuration.h"
#include "agent/hook-list.h"
#include "agent/log.h"
#include "agent/plan.h"
#include "agent/record.h"

/**
 * sf_agent_run:
 * @config: must outlive the call
 * @log: the same
 * @error: domain %SF_ERROR: what cannot be opened or started
 *
 * The daemon, from opening its channels until it is told to stop; whatever it froze is thawed by
 * then.
 *
 * Returns: whether it stopped because it was told to
 */
bool sf_agent_run(const SfConfig *config, SfLog *log, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What the configuration says, in the words of those who use it. */
SfPlanSource sf_config_plan_source(const SfConfig *config);
SfHookSettings sf_config_hook_settings(const SfConfig *config);

/**
 * sf_agent_take_over:
 * @record: opened, not yet recovered
 *
 * Writes what a qemu-ga left frozen that has ended into @record, for the recovery, and logs what it
 * finds.
 *
 * Returns: false where a qemu-ga that runs has frozen the guest, or something else of ours has to
 * be thawed first
 */
bool sf_agent_take_over(const SfConfig *config, SfRecord *record);
/* Whether no qemu-ga runs that has frozen the guest. */
bool sf_agent_predecessor_is_gone(const SfConfig *config);

/* (transfer full) (not nullable): "--frozen": a line for each filesystem that the record calls
 * frozen, with where it is mounted. */
char *sf_agent_list_frozen(const SfConfig *config);

/**
 * sf_agent_recover:
 * @limit_ms: how long to wait for it; the hooks are then left to a session. 0: as long as it takes
 *
 * "--recover": thaws by the record what agent and freezer left frozen when they died, and what a
 * qemu-ga did, waits for its end, and tells the hooks.
 *
 * Returns: whether nothing of ours is frozen any more
 */
bool sf_agent_recover(const SfConfig *config, unsigned int limit_ms,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;
