/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/**
 * sf_notify:
 * @message: such as "READY=1"
 * @fds: (nullable): sent along, for "FDSTORE=1"
 *
 * Tells the service manager, where there is one ($NOTIFY_SOCKET; the protocol of sd_notify(3)).
 * Never blocks.
 *
 * Returns: whether it was told
 */
bool sf_notify(const char *message, const int *fds, unsigned int count);
