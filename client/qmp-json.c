/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shapes that requests to QEMU's monitor and its answers have. Pure functions; host-qemu.c and
 * qemu-images.c call them. */
#include "config.h"

#include <stdarg.h>

#include "client/qmp-json.h"
#include "client/reply.h"

JsonObject *sf_qmp_object(const char *name, ...)
{
	JsonObject *object = json_object_new();
	va_list rest;

	va_start(rest, name);
	for (; name; name = va_arg(rest, const char *))
		json_object_set_string_member(object, name, va_arg(rest, const char *));
	va_end(rest);
	return object;
}

JsonArray *sf_qmp_list(JsonNode *reply)
{
	return reply && JSON_NODE_HOLDS_ARRAY(reply) ? json_node_get_array(reply) : NULL;
}

JsonObject *sf_qmp_find_job(JsonNode *jobs, const char *name)
{
	JsonArray *array = sf_qmp_list(jobs);

	for (unsigned int i = 0; i < sf_reply_length(array); i++) {
		JsonObject *job = sf_reply_object_at(array, i);

		if (g_strcmp0(sf_reply_string(job, "id"), name) == 0)
			return job;
	}
	return NULL;
}
