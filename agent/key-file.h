/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A key file whose errors name the file, the line and the key. */
typedef struct {
	char *name; /* of the file, as errors show it */
	char *text;
	GKeyFile *keys;
} SfKeyFile;

/**
 * sf_key_file_read:
 * @path: the file
 * @out_missing: (nullable): where given, a file that does not exist sets it, and is no error
 * @error: domain %SF_ERROR
 *
 * Returns: (transfer full) (nullable): the file, free with sf_key_file_free(); %NULL too where it
 * is missing
 */
SfKeyFile *sf_key_file_read(const char *path, bool *out_missing,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_key_file_free(SfKeyFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfKeyFile, sf_key_file_free)

/* "FILE:LINE: KEY: MESSAGE"; @key NULL: about the group, whose first line is named. Always false.
 */
bool sf_key_file_throw(const SfKeyFile *file, const char *group, const char *key, GError **error,
		       const char *format, ...) G_GNUC_PRINTF(5, 6);

/* The getters fail with the above. Strings and lists are (transfer full). */
bool sf_key_file_get_string(const SfKeyFile *file, const char *group, const char *key,
			    char **out_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sf_key_file_get_strings(const SfKeyFile *file, const char *group, const char *key,
			     char ***out_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sf_key_file_get_boolean(const SfKeyFile *file, const char *group, const char *key,
			     bool *out_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sf_key_file_get_number(const SfKeyFile *file, const char *group, const char *key, unsigned min,
			    unsigned max, unsigned *out_value,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Seconds: "90", "90s", "2m", "1h". */
bool sf_key_file_get_seconds(const SfKeyFile *file, const char *group, const char *key,
			     unsigned min, unsigned max, unsigned *out_value,
			     GError **error) G_GNUC_WARN_UNUSED_RESULT;
