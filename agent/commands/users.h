/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

/* (transfer full): who is logged in by a file of utmp(5), each with the earliest login; empty where
 * there is no such file. */
JsonArray *sf_users_read(const char *path);
