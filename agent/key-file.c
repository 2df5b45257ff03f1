/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GKeyFile with a place in every error: it keeps the text beside the parsed keys and looks the line
 * up when something is wrong. Knows no key by name; called by agent/config.
 */
#include "config.h"

#include <string.h>

#include "agent/key-file.h"
#include "protocol/error.h"

/* A configuration is written by hand. */
#define MAX_BYTES (1024 * 1024)

static bool line_is_skipped(const char *line)
{
	return !*line || *line == '#';
}

/* (nullable) (transfer full): the group that a "[group]" line opens. */
static char *line_group(const char *line)
{
	const char *end = *line == '[' ? strrchr(line, ']') : NULL;

	return end ? g_strndup(line + 1, end - line - 1) : NULL;
}

static bool line_has_key(const char *line, const char *key)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) != 0)
		return false;
	line += len;
	return line[strspn(line, " \t")] == '=';
}

/* The line of @key in @group, the last one where it stands twice (that is the one in force), or
 * the group's own line; 0 where there is none. */
static unsigned int find_line(const char *text, const char *group, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *current = NULL;
	unsigned int found = 0;

	for (unsigned int i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]);
		char *opened = line_group(line);

		if (opened) {
			g_free(current);
			current = opened;
			if (!key && !found && !strcmp(current, group))
				found = i + 1;
		} else if (key && !g_strcmp0(current, group) && line_has_key(line, key)) {
			found = i + 1;
		}
	}
	return found;
}

bool sf_key_file_throw(const SfKeyFile *file, const char *group, const char *key, GError **error,
		       const char *format, ...)
{
	g_autofree char *message = NULL;
	unsigned int line = find_line(file->text, group, key);
	va_list arguments;

	va_start(arguments, format);
	message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	if (key)
		return sf_throw(error, "%s:%u: %s: %s", file->name, line, key, message);
	return sf_throw(error, "%s:%u: [%s]: %s", file->name, line, group, message);
}

/* GKeyFile's own errors name no line, so what it would refuse is found here first. */
static bool check_lines(const char *name, const char *text, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	bool in_group = false;

	for (unsigned int i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]);
		g_autofree char *group = line_group(line);

		if (line_is_skipped(line))
			continue;
		if (!g_utf8_validate(line, -1, NULL))
			return sf_throw(error, "%s:%u: not UTF-8", name, i + 1);
		if (!group && (*line == '[' || *line == '=' || !strchr(line, '=')))
			return sf_throw(error, "%s:%u: neither a key, a group nor a comment: %s",
					name, i + 1, line);
		if (!group && !in_group)
			return sf_throw(error, "%s:%u: stands before the first group: %s", name,
					i + 1, line);
		in_group = true;
	}
	return true;
}

SfKeyFile *sf_key_file_read(const char *path, bool *out_missing, GError **error)
{
	g_autoptr(SfKeyFile) file = g_new0(SfKeyFile, 1);
	g_autoptr(GError) reason = NULL;
	gsize len;

	file->name = g_strdup(path);
	file->keys = g_key_file_new();
	if (!g_file_get_contents(path, &file->text, &len, &reason)) {
		if (out_missing && g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			*out_missing = true;
		else
			sf_throw(error, "%s", reason->message);
		return NULL;
	}
	if (len > MAX_BYTES || strlen(file->text) != len) {
		sf_throw(error, "%s: not a configuration file", path);
		return NULL;
	}
	if (!check_lines(path, file->text, error))
		return NULL;
	if (!g_key_file_load_from_data(file->keys, file->text, len, G_KEY_FILE_NONE, &reason)) {
		sf_throw(error, "%s: %s", path, reason->message);
		return NULL;
	}
	return g_steal_pointer(&file);
}

void sf_key_file_free(SfKeyFile *file)
{
	if (!file)
		return;
	g_free(file->name);
	g_free(file->text);
	g_key_file_free(file->keys);
	g_free(file);
}

bool sf_key_file_get_string(const SfKeyFile *file, const char *group, const char *key,
			    char **out_value, GError **error)
{
	g_autoptr(GError) reason = NULL;
	char *value = g_key_file_get_string(file->keys, group, key, &reason);

	if (!value)
		return sf_key_file_throw(file, group, key, error, "%s", reason->message);
	*out_value = value;
	return true;
}

bool sf_key_file_get_strings(const SfKeyFile *file, const char *group, const char *key,
			     char ***out_value, GError **error)
{
	g_autoptr(GError) reason = NULL;
	char **value = g_key_file_get_string_list(file->keys, group, key, NULL, &reason);

	if (!value)
		return sf_key_file_throw(file, group, key, error, "%s", reason->message);
	*out_value = value;
	return true;
}

bool sf_key_file_get_boolean(const SfKeyFile *file, const char *group, const char *key,
			     bool *out_value, GError **error)
{
	g_autoptr(GError) reason = NULL;
	bool value = g_key_file_get_boolean(file->keys, group, key, &reason);

	if (reason)
		return sf_key_file_throw(file, group, key, error, "must be true or false");
	*out_value = value;
	return true;
}

/* A number with one of the letters of @units behind it, or none; @unit is set to that letter. */
static bool parse_number(const char *text, const char *units, guint64 *number, char *unit)
{
	char *end = NULL;

	if (!g_ascii_isdigit(*text))
		return false;
	*number = g_ascii_strtoull(text, &end, 10);
	*unit = *end;
	if (!*end)
		return true;
	return strchr(units, *end) && !end[1];
}

static unsigned int unit_factor(char unit)
{
	if (unit == 'h')
		return 3600;
	return unit == 'm' ? 60 : 1;
}

static bool get_number(const SfKeyFile *file, const char *group, const char *key, const char *units,
		       unsigned min, unsigned max, unsigned *out_value, GError **error)
{
	g_autofree char *text = NULL;
	guint64 number = 0;
	char unit = 0;

	if (!sf_key_file_get_string(file, group, key, &text, error))
		return false;
	if (!parse_number(g_strstrip(text), units, &number, &unit))
		return sf_key_file_throw(file, group, key, error, "'%s' is not a number%s", text,
					 *units ? " of seconds (90, 90s, 2m, 1h)" : "");
	if (number > G_MAXUINT / 3600 || number * unit_factor(unit) < min ||
	    number * unit_factor(unit) > max)
		return sf_key_file_throw(file, group, key, error, "%s is not within %u and %u",
					 text, min, max);
	*out_value = number * unit_factor(unit);
	return true;
}

bool sf_key_file_get_number(const SfKeyFile *file, const char *group, const char *key, unsigned min,
			    unsigned max, unsigned *out_value, GError **error)
{
	return get_number(file, group, key, "", min, max, out_value, error);
}

bool sf_key_file_get_seconds(const SfKeyFile *file, const char *group, const char *key,
			     unsigned min, unsigned max, unsigned *out_value, GError **error)
{
	return get_number(file, group, key, "smh", min, max, out_value, error);
}
