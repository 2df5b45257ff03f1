/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/mounts.h"

/*
 * The names by which our descriptors lie in the service manager's store (service-manager.h puts
 * them there), and what of it this process has inherited.
 */

/* (transfer full): what has the descriptor that goes along kept; or what lies there forgotten. */
char *sf_fdstore_put_text(SfDevice device);
char *sf_fdstore_forget_text(SfDevice device);

/**
 * sf_fdstore_find:
 *
 * Returns: the fd of that superblock which an earlier agent had put there and this process
 * inherited, -1 where there is none; it stays where it is
 */
int sf_fdstore_find(SfDevice device);
/**
 * sf_fdstore_clear:
 *
 * Closes all that was inherited; a second time does nothing.
 *
 * Returns: (transfer full) (element-type utf8): what the service manager must be told, so that it
 * forgets them too
 */
GPtrArray *sf_fdstore_clear(void) G_GNUC_WARN_UNUSED_RESULT;
