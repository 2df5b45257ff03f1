/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mount points from the command line into a request. cmd-plan and cmd-freeze call it. */
#include "config.h"

#include "client/mountpoints.h"

bool sf_check_mountpoints(char **mountpoints, GError **error)
{
	for (char **at = mountpoints; at && *at; at++) {
		if (g_utf8_validate(*at, -1, NULL))
			continue;
		g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
				    "a mount point is not text in UTF-8");
		return false;
	}
	return true;
}

void sf_add_mountpoints(JsonObject *arguments, char **mountpoints)
{
	JsonArray *array;

	if (!mountpoints)
		return;
	array = json_array_new();
	for (char **at = mountpoints; *at; at++)
		json_array_add_string_element(array, *at);
	json_object_set_array_member(arguments, "mountpoints", array);
}
