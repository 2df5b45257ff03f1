/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns how JSON looks on the wire: QEMU's spacing, pure ASCII, one line. json-glib's own generator
 * writes neither, and clients cut replies with regular expressions. Holds no state. Called by
 * message.c and by the client's output. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "protocol/message.h"

static void write_code_point(GString *out, gunichar code)
{
	if (code > 0xFFFF)
		g_string_append_printf(out, "\\u%04X\\u%04X", 0xD800 + ((code - 0x10000) >> 10),
				       0xDC00 + ((code - 0x10000) & 0x3FF));
	else if (code < 0x20 || code >= 0x7F)
		g_string_append_printf(out, "\\u%04X", code);
	else
		g_string_append_c(out, (char)code);
}

/* Reads one code point and advances; what is no UTF-8 (a file name may hold anything) becomes
 * U+FFFD. */
static gunichar next_code_point(const char **at)
{
	gunichar code = g_utf8_get_char_validated(*at, -1);

	if (code == (gunichar)-1 || code == (gunichar)-2) {
		(*at)++;
		return 0xFFFD;
	}
	*at = g_utf8_next_char(*at);
	return code;
}

void sf_json_write_string(GString *out, const char *string)
{
	static const char special[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	const char *at = string;

	g_string_append_c(out, '"');
	while (*at) {
		const char *found;
		gunichar code;

		/* Most of what is written needs no escape. */
		size_t plain = 0;
		while (at[plain] >= 0x20 && at[plain] < 0x7F && at[plain] != '"' &&
		       at[plain] != '\\')
			plain++;
		if (plain > 0) {
			g_string_append_len(out, at, (gssize)plain);
			at += plain;
			continue;
		}

		code = next_code_point(&at);
		found = code < 0x80 ? strchr(special, (int)code) : NULL;
		if (found) {
			g_string_append_c(out, '\\');
			g_string_append_c(out, letters[found - special]);
		} else {
			write_code_point(out, code);
		}
	}
	g_string_append_c(out, '"');
}

static void write_double(GString *out, double value)
{
	char digits[G_ASCII_DTOSTR_BUF_SIZE];

	/* JSON has no word for what is not a number. */
	if (isfinite(value))
		g_string_append(out, g_ascii_formatd(digits, sizeof digits, "%.17g", value));
	else
		g_string_append(out, "null");
}

static void write_scalar(GString *out, JsonNode *node)
{
	switch (json_node_get_value_type(node)) {
	case G_TYPE_STRING:
		sf_json_write_string(out, json_node_get_string(node));
		break;
	case G_TYPE_BOOLEAN:
		g_string_append(out, json_node_get_boolean(node) ? "true" : "false");
		break;
	case G_TYPE_DOUBLE:
		write_double(out, json_node_get_double(node));
		break;
	default:
		g_string_append_printf(out, "%" G_GINT64_FORMAT, json_node_get_int(node));
		break;
	}
}

static void write_array(GString *out, JsonArray *array)
{
	unsigned int len = json_array_get_length(array);

	g_string_append_c(out, '[');
	for (unsigned int i = 0; i < len; i++) {
		if (i > 0)
			g_string_append(out, ", ");
		sf_json_write(out, json_array_get_element(array, i));
	}
	g_string_append_c(out, ']');
}

static void write_object(GString *out, JsonObject *object)
{
	JsonObjectIter iter;
	const char *name;
	JsonNode *value;
	bool is_first = true;

	g_string_append_c(out, '{');
	json_object_iter_init_ordered(&iter, object);
	while (json_object_iter_next_ordered(&iter, &name, &value)) {
		if (!is_first)
			g_string_append(out, ", ");
		is_first = false;
		sf_json_write_string(out, name);
		g_string_append(out, ": ");
		sf_json_write(out, value);
	}
	g_string_append_c(out, '}');
}

void sf_json_write(GString *out, JsonNode *node)
{
	switch (json_node_get_node_type(node)) {
	case JSON_NODE_OBJECT:
		write_object(out, json_node_get_object(node));
		break;
	case JSON_NODE_ARRAY:
		write_array(out, json_node_get_array(node));
		break;
	case JSON_NODE_VALUE:
		write_scalar(out, node);
		break;
	case JSON_NODE_NULL:
		g_string_append(out, "null");
		break;
	}
}
