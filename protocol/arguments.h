/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
	SF_ARGUMENT_INTEGER, /* int64; 1.0 is not one */
	SF_ARGUMENT_STRING,
	SF_ARGUMENT_BOOLEAN,
	SF_ARGUMENT_STRINGS, /* array of strings */
	SF_ARGUMENT_ENUM,    /* string, one of @values */
	SF_ARGUMENT_INTEGER_OR_ENUM,
	SF_ARGUMENT_BOOLEAN_OR_ENUM,
	SF_ARGUMENT_OBJECTS, /* array of objects, each with @members */
} SfArgumentType;

/* One argument of a command, as it is declared. A list of them ends with a NULL name. */
typedef struct SfArgumentSpec {
	const char *name;
	SfArgumentType type;
	bool optional;
	const char *const *values;            /* of an enum, NULL-terminated */
	const struct SfArgumentSpec *members; /* of objects; ends with a NULL name */
	const char *alternate; /* (nullable): qemu-ga's name of an ..._OR_ENUM, for its error */
} SfArgumentSpec;

typedef struct SfArguments SfArguments;

/**
 * sf_arguments_parse:
 * @specs: (nullable): what the command takes; %NULL: nothing
 * @object: (nullable): the request's arguments; referenced, not copied
 * @error: domain %SF_ERROR: unexpected, missing, of a wrong type, bad enum value, in the wire's
 * words
 *
 * Checks everything at once; the getters below cannot fail.
 *
 * Returns: (transfer full) (nullable): the checked arguments, free with sf_arguments_free()
 */
SfArguments *sf_arguments_parse(const SfArgumentSpec *specs, JsonObject *object,
				GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_arguments_free(SfArguments *arguments);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfArguments, sf_arguments_free)

/* Whether an optional argument was given. */
bool sf_arguments_has(const SfArguments *arguments, const char *name);
/* The value of an argument that was given, in this type (an INTEGER_OR_ENUM that is the integer is
 * no string); of another, 0, false, NULL. Strings stay the arguments'. */
int64_t sf_arguments_get_integer(const SfArguments *arguments, const char *name);
bool sf_arguments_get_boolean(const SfArguments *arguments, const char *name);
const char *sf_arguments_get_string(const SfArguments *arguments, const char *name);
/* (transfer full) (nullable): NULL-terminated, free with g_strfreev(); %NULL where it was not
 * given. */
char **sf_arguments_get_strings(const SfArguments *arguments, const char *name);
/* How many objects were given; 0 where none. */
unsigned int sf_arguments_count_objects(const SfArguments *arguments, const char *name);
/* (transfer full): one of them; free with sf_arguments_free(). @index is less than their number. */
SfArguments *sf_arguments_get_object(const SfArguments *arguments, const char *name,
				     unsigned int index);

/**
 * sf_arguments_describe:
 * @specs: (nullable): what a command takes
 *
 * Returns: (transfer full): one line for people, such as "id int, mode? read|write, mountpoints?
 * [string], vcpus [{logical-id int}]", empty where the command takes nothing
 */
char *sf_arguments_describe(const SfArgumentSpec *specs);
