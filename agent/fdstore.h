/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/mounts.h"
#include "agent/plan.h"

/*
 * The service manager's file descriptor store (FileDescriptorStoreMax= in systemd.service(5)):
 * while a freeze lasts, it holds the fds too, so that what agent and freezer left frozen when both
 * died can be thawed even where no mount point leads to it any more.
 */

/* Hands over the fds of the plan's targets. Where there is no service manager, does nothing. */
void sf_fdstore_put(const SfPlan *plan);
/* Has them forgotten: an fd that lies there keeps its filesystem from being unmounted. */
void sf_fdstore_drop(const SfPlan *plan);

/**
 * sf_fdstore_find:
 *
 * Returns: the fd of that superblock which an earlier agent had put there and this process
 * inherited, -1 where there is none; it stays where it is
 */
int sf_fdstore_find(SfDevice device);
/* Closes and has forgotten all that was inherited; a second time does nothing. */
void sf_fdstore_clear(void);
