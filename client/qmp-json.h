/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* (transfer full): an object of members that are strings: name, value, name, value, …, NULL */
JsonObject *sf_qmp_object(const char *name, ...) G_GNUC_NULL_TERMINATED;

/* (transfer none) (nullable): the job of that name in what query-jobs returned */
JsonObject *sf_qmp_find_job(JsonNode *jobs, const char *name);

/* (transfer none) (nullable): what a command returned, where it is a list */
JsonArray *sf_qmp_list(JsonNode *reply);
