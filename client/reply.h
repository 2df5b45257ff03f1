/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* What an agent answered may lack any member or give it another type: every getter takes that, and
 * a NULL object, for "not there". */

/* (transfer none) (nullable) */
const char *sf_reply_string(JsonObject *object, const char *name);
/* @out_value is written only where there is a number. */
bool sf_reply_integer(JsonObject *object, const char *name, int64_t *out_value);
bool sf_reply_number(JsonObject *object, const char *name, double *out_value);
/* What is not there is false. */
bool sf_reply_is_true(JsonObject *object, const char *name);
/* Whether the member is there, and the boolean false. */
bool sf_reply_is_false(JsonObject *object, const char *name);
/* (transfer none) (nullable) */
JsonObject *sf_reply_object(JsonObject *object, const char *name);
JsonArray *sf_reply_array(JsonObject *object, const char *name);
/* (transfer none) (nullable): a whole reply that is an object */
JsonObject *sf_reply_root(JsonNode *node);

/* (transfer full): how a filesystem is called: its mount point, "/proc/812/root/data" where only
 * the mount namespace of process 812 has it; "?" */
char *sf_reply_place(JsonObject *filesystem);

/* How many elements; 0 of NULL. */
unsigned int sf_reply_length(JsonArray *array);
/* (transfer none) (nullable): one element, where it is of that type */
JsonObject *sf_reply_object_at(JsonArray *array, unsigned int index);
const char *sf_reply_string_at(JsonArray *array, unsigned int index);

/* (transfer full): the member of milliseconds as sf_format_duration() writes it; "" where it is
 * not there */
char *sf_reply_duration(JsonObject *object, const char *name);
