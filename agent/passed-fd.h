/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/**
 * sf_passed_fd_receive:
 * @data: room for @size bytes of one message
 * @out_fd: the descriptor that came with it, close-on-exec and the caller's; -1 where none did, as
 * when this process may have no more of them
 *
 * Receives what a child sends that opens files for us. Never blocks.
 *
 * Returns: as recvmsg(2), with errno
 */
ssize_t sf_passed_fd_receive(int socket, void *data, size_t size, int *out_fd);
