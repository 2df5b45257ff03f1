/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-serial port. What is peculiar to it (a host side that closes and opens again) is
 * SF_STREAM_VIRTIO in stream.c. Handed to port by channels.
 */
#include "config.h"

#include <fcntl.h>

#include "agent/virtio.h"
#include "protocol/error.h"

int sf_virtio_open(const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		sf_throw_errno(error, "open '%s'", path);
	return fd;
}
