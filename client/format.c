/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durations both ways, and text made safe for a terminal. Pure functions; every sub-command calls
 * them. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "client/format.h"

#define MS_PER_SECOND 1000
#define MS_PER_MINUTE (60 * MS_PER_SECOND)
#define MS_PER_HOUR (60 * MS_PER_MINUTE)
#define MAX_MS (INT64_C(366) * 24 * MS_PER_HOUR)

static int64_t unit_ms(const char *unit)
{
	if (*unit == '\0' || g_str_equal(unit, "s"))
		return MS_PER_SECOND;
	if (g_str_equal(unit, "ms"))
		return 1;
	if (g_str_equal(unit, "m") || g_str_equal(unit, "min"))
		return MS_PER_MINUTE;
	if (g_str_equal(unit, "h"))
		return MS_PER_HOUR;
	return 0;
}

bool sf_parse_duration(const char *text, int64_t *out_ms, GError **error)
{
	size_t digits = strspn(text, "0123456789");
	int64_t unit = unit_ms(text + digits);
	/* 18 digits always fit; longer ones are beyond the bound anyway. */
	int64_t number = digits > 0 && digits <= 18 ? g_ascii_strtoll(text, NULL, 10) : -1;

	if (digits == 0 || unit == 0) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "'%s' is no duration: write 500ms, 10s, 5m or 1h", text);
		return false;
	}
	if (number < 0 || number > MAX_MS / unit) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "'%s' is too long a duration", text);
		return false;
	}
	*out_ms = number * unit;
	return true;
}

/* "5 min" or "5 min 3 s": the smaller unit only where there is something of it. */
static char *format_pair(int64_t whole, const char *unit, int64_t part, const char *part_unit)
{
	if (part == 0)
		return g_strdup_printf("%" G_GINT64_FORMAT " %s", whole, unit);
	return g_strdup_printf("%" G_GINT64_FORMAT " %s %" G_GINT64_FORMAT " %s", whole, unit, part,
			       part_unit);
}

char *sf_format_duration(double ms)
{
	char number[G_ASCII_DTOSTR_BUF_SIZE];
	int64_t seconds;

	if (!(ms > 0))
		return g_strdup("0 ms");
	/* Each bound is where rounding would write the next unit's first value: never "1000 ms". */
	if (ms < 9.95)
		return g_strdup_printf("%s ms", g_ascii_formatd(number, sizeof(number), "%.2g",
								fmax(ms, 0.001)));
	if (ms < 999.5)
		return g_strdup_printf("%.0f ms", ms);
	if (ms < 59950)
		return g_strdup_printf("%s s",
				       g_ascii_formatd(number, sizeof(number), "%.1f", ms / 1000));
	seconds = llrint(fmin(ms, 1e15) / 1000);
	if (seconds < 3600)
		return format_pair(seconds / 60, "min", seconds % 60, "s");
	return format_pair(seconds / 3600, "h", seconds % 3600 / 60, "min");
}

/* Format characters (bidi marks, joiners) and line separators count as printable for GLib, but they
 * make a line read otherwise than it is; combining marks pile up on other columns. */
static bool is_deceptive(gunichar c)
{
	switch (g_unichar_type(c)) {
	case G_UNICODE_FORMAT:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
	case G_UNICODE_PRIVATE_USE:
		return true;
	default:
		return g_unichar_iszerowidth(c);
	}
}

static bool is_plain(gunichar c, bool utf8)
{
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	return utf8 && g_unichar_isprint(c) && !is_deceptive(c);
}

static void append_escaped(GString *out, gunichar c, bool utf8)
{
	if (c == '\\')
		g_string_append(out, "\\\\");
	else if (is_plain(c, utf8))
		g_string_append_unichar(out, c);
	else if (c == '\n')
		g_string_append(out, "\\n");
	else if (c == '\t')
		g_string_append(out, "\\t");
	else if (c < 0x80)
		g_string_append_printf(out, "\\x%02x", c);
	else
		g_string_append_printf(out, "\\u{%x}", c);
}

char *sf_escape(const char *text, bool utf8)
{
	GString *out = g_string_new(NULL);

	while (*text) {
		gunichar c = g_utf8_get_char_validated(text, -1);

		if (c == (gunichar)-1 || c == (gunichar)-2) {
			g_string_append_printf(out, "\\x%02x", (unsigned char)*text++);
			continue;
		}
		append_escaped(out, c, utf8);
		text = g_utf8_next_char(text);
	}
	return g_string_free(out, FALSE);
}

size_t sf_display_width(const char *text)
{
	size_t width = 0;

	for (; *text; text = g_utf8_next_char(text)) {
		gunichar c = g_utf8_get_char(text);

		if (!g_unichar_iszerowidth(c))
			width += g_unichar_iswide(c) ? 2 : 1;
	}
	return width;
}
