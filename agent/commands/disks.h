/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

/* (transfer full): guest-get-disks's answer. @sys: such as "/sys"; @udev: such as "/run/udev/data".
 */
JsonArray *sf_disks_read(const char *sys, const char *udev);
