/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * sf_notify:
 * @message: such as "READY=1"
 * @fds: (nullable): sent along, for "FDSTORE=1"
 *
 * Tells the service manager, where there is one ($NOTIFY_SOCKET; the protocol of sd_notify(3)).
 * Never blocks.
 *
 * Returns: 0, or -errno: -EAGAIN where it has no room at this moment, -ENOTCONN where there is none
 */
int sf_notify(const char *message, const int *fds, unsigned int count);
