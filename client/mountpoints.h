/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

/* The mount points on a command line (nullable: none, which means all), which plan and freeze
 * take. */

/* JSON carries UTF-8 only. Errors: domain %G_OPTION_ERROR. */
bool sf_check_mountpoints(char **mountpoints, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_add_mountpoints(JsonObject *arguments, char **mountpoints);
