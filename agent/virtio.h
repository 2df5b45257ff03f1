/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Opens a virtio-serial port: an SfPortOpen. Only one process at a time can have it. */
int sf_virtio_open(const char *path, GError **error);
