/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Opens a terminal line and makes it carry bytes as they are: an SfPortOpen. */
int sf_serial_open(const char *path, GError **error);
