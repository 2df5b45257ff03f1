/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Base64 as hosts write it, checked: g_base64_decode() takes anything. Called by commands. */
#include "config.h"

#include <string.h>

#include "agent/base64.h"
#include "protocol/error.h"

static bool has_other_letters(const char *text)
{
	for (; *text; text++)
		if (!g_ascii_isspace(*text) && !g_ascii_isalnum(*text) && !strchr("+/=", *text))
			return true;
	return false;
}

static bool is_well_formed(const char *text)
{
	size_t letters = 0, ends = 0;

	for (; *text; text++) {
		if (g_ascii_isspace(*text))
			continue;
		if (*text == '=')
			ends++;
		else if (ends > 0)
			return false;
		letters++;
	}
	return letters % 4 == 0 && ends <= 2;
}

GBytes *sf_base64_decode(const char *text, const char *name, GError **error)
{
	gsize size;
	guchar *data;

	/* In qemu-ga's words, which does not look at the rest. */
	if (has_other_letters(text)) {
		sf_throw(error, "Base64 data contains invalid characters");
		return NULL;
	}
	if (!is_well_formed(text)) {
		sf_throw(error, "Base64 data of parameter '%s' is not valid", name);
		return NULL;
	}
	data = g_base64_decode(text, &size);
	return g_bytes_new_take(data, size);
}
