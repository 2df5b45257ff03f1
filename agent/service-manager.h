/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/plan.h"

/**
 * SfServiceManager: what the service manager does for us while a freeze is under way, where there
 * is one ($NOTIFY_SOCKET; sd_notify(3)):
 *
 * - it keeps the descriptors of what is frozen (FileDescriptorStoreMax= in systemd.service(5)), so
 *   that what agent and freezer left frozen when both died can be thawed even where no mount point
 *   leads to it any more;
 * - it watches us, and kills an agent that gives no sign of life: with its freezer dead too, nobody
 *   else would thaw.
 *
 * Nothing here blocks or touches a file. What the manager has no room for is said again each
 * second.
 */
typedef struct SfServiceManager SfServiceManager;

SfServiceManager *sf_service_manager_new(void);
void sf_service_manager_free(SfServiceManager *manager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfServiceManager, sf_service_manager_free)

/* Has it watch us or not. While it does, the main loop gives a sign of life each second. */
void sf_service_manager_set_watch(SfServiceManager *manager, bool is_on);

/* Hands it the descriptors of the plan's targets, which must stay open until they are dropped. */
void sf_service_manager_keep(SfServiceManager *manager, const SfPlan *plan);
/* Has them forgotten: one that is kept keeps its filesystem from being unmounted. */
void sf_service_manager_drop(SfServiceManager *manager, const SfPlan *plan);
/* Closes what an earlier agent had it keep, and has it forgotten; a second time does nothing. */
void sf_service_manager_drop_inherited(SfServiceManager *manager);
