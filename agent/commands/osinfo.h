/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

/* Adds what a text in the format of os-release(5) says to @info; what it does not say is left out.
 */
void sf_osinfo_add(JsonObject *info, const char *text);
