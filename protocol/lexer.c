/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the tokens of JSON: where each ends, whether it is valid, and its one strict form. Between
 * two calls it holds one half token at most, so bytes may come in any pieces. A faulty token is
 * read to its end before it is named, which keeps quotes and braces paired for whoever skips the
 * rest. Called by frame.c only. */
#include "config.h"

#include <string.h>

#include "protocol/lexer.h"
#include "protocol/number.h"

/* How much of a faulty token an error quotes. */
#define EXCERPT_MAX 32

void sf_lexer_begin(SfLexer *lexer)
{
	sf_lexer_clear(lexer);
	lexer->text = g_string_new(NULL);
}

void sf_lexer_discard(SfLexer *lexer)
{
	if (lexer->text)
		g_string_free(g_steal_pointer(&lexer->text), TRUE);
	g_clear_pointer(&lexer->problem, g_free);
}

void sf_lexer_clear(SfLexer *lexer)
{
	sf_lexer_discard(lexer);
	*lexer = (SfLexer){0};
}

/* Nothing is kept of a message once something in it is wrong. */
static bool keeps(const SfLexer *lexer)
{
	return lexer->text && !lexer->problem;
}

static void append(SfLexer *lexer, const uint8_t *bytes, size_t len)
{
	if (keeps(lexer))
		g_string_append_len(lexer->text, (const char *)bytes, (gssize)len);
}

static void append_byte(SfLexer *lexer, uint8_t byte)
{
	append(lexer, &byte, 1);
}

static void G_GNUC_PRINTF(2, 3) blame(SfLexer *lexer, const char *format, ...)
{
	va_list arguments;

	if (!keeps(lexer))
		return;
	va_start(arguments, format);
	lexer->problem = g_strdup_vprintf(format, arguments);
	va_end(arguments);
}

/* --- words: numbers and keywords --- */

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool ends_word(uint8_t byte)
{
	return is_blank(byte) || (byte != 0 && strchr("{}[]:,\"'", byte));
}

static void blame_word(SfLexer *lexer, const char *what)
{
	g_autofree char *excerpt = g_strndup(lexer->text->str + lexer->start, EXCERPT_MAX);
	g_autofree char *quoted = g_strescape(excerpt, NULL);

	blame(lexer, "%s '%s'", what, quoted);
}

static void finish_number(SfLexer *lexer)
{
	switch (sf_number_normalize(lexer->text, lexer->start)) {
	case SF_NUMBER_OK:
		break;
	case SF_NUMBER_INVALID:
		blame_word(lexer, "stray");
		break;
	case SF_NUMBER_OUT_OF_RANGE:
		blame(lexer, "number out of range");
		break;
	}
}

static void finish_word(SfLexer *lexer)
{
	const char *word;

	lexer->state = SF_LEXER_BETWEEN;
	if (!keeps(lexer))
		return;
	word = lexer->text->str + lexer->start;
	/* A NUL within would hide what stands behind it. */
	if (strlen(word) != lexer->text->len - lexer->start)
		blame(lexer, "stray '\\0'");
	else if (*word == '-' || g_ascii_isdigit(*word))
		finish_number(lexer);
	else if (!g_str_equal(word, "true") && !g_str_equal(word, "false") &&
		 !g_str_equal(word, "null"))
		blame_word(lexer, g_ascii_islower(*word) ? "invalid keyword" : "stray");
}

/* --- strings --- */

static void append_code_point(SfLexer *lexer, uint32_t code)
{
	char utf8[6];
	int len;

	if (code == '"' || code == '\\') {
		append_byte(lexer, '\\');
		append_byte(lexer, (uint8_t)code);
	} else if (code < 0x20) {
		char escape[8];
		g_snprintf(escape, sizeof escape, "\\u%04X", code);
		append(lexer, (const uint8_t *)escape, 6);
	} else {
		len = g_unichar_to_utf8(code, utf8);
		append(lexer, (const uint8_t *)utf8, (size_t)len);
	}
}

static void blame_half_pair(SfLexer *lexer, uint32_t code)
{
	blame(lexer, "\\u%04x is not a valid Unicode character", code);
	lexer->high_surrogate = 0;
}

/* A code unit stands on its own, unless it is the first or the second half of a pair. */
static void finish_code_unit(SfLexer *lexer)
{
	uint32_t high = lexer->high_surrogate;
	uint32_t code = lexer->code;

	lexer->state = SF_LEXER_STRING;
	lexer->high_surrogate = 0;
	if ((code >= 0xDC00 && code <= 0xDFFF) != (high != 0))
		blame_half_pair(lexer, high ? high : code);
	else if (code == 0)
		blame(lexer, "invalid escape, a string cannot hold \\u0000");
	else if (high)
		append_code_point(lexer, 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00));
	else if (code >= 0xD800 && code <= 0xDBFF)
		lexer->high_surrogate = code;
	else
		append_code_point(lexer, code);
}

static void step_escape(SfLexer *lexer, uint8_t byte)
{
	static const char letters[] = "\"'\\/bfnrt";
	static const char meanings[] = "\"'\\/\b\f\n\r\t";
	const char *found = byte ? strchr(letters, byte) : NULL;

	if (byte == 'u') {
		lexer->state = SF_LEXER_HEX;
		lexer->hex_digits = 0;
		lexer->code = 0;
		return;
	}
	lexer->state = SF_LEXER_STRING;
	if (lexer->high_surrogate)
		blame_half_pair(lexer, lexer->high_surrogate);
	else if (!found)
		blame(lexer, "invalid escape sequence in string");
	else
		append_code_point(lexer, (uint8_t)meanings[found - letters]);
}

/* Returns: whether the byte was used up; where not, it belongs to the string behind the escape */
static bool step_hex(SfLexer *lexer, uint8_t byte)
{
	if (!g_ascii_isxdigit(byte)) {
		blame(lexer, "invalid escape, \\u takes four hexadecimal digits");
		lexer->state = SF_LEXER_STRING;
		return false;
	}
	lexer->code = lexer->code << 4 | (uint32_t)g_ascii_xdigit_value((char)byte);
	if (++lexer->hex_digits == 4)
		finish_code_unit(lexer);
	return true;
}

/* Narrower bounds for the second byte keep out overlong forms, surrogates and what lies beyond
 * U+10FFFF (Unicode, table 3-7). */
static void begin_utf8(SfLexer *lexer, uint8_t byte)
{
	if (byte < 0xC2 || byte > 0xF4) {
		blame(lexer, "invalid UTF-8 sequence in string");
		return;
	}
	lexer->utf8_left = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
	lexer->utf8_min = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
	lexer->utf8_max = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
	lexer->state = SF_LEXER_UTF8;
	append_byte(lexer, byte);
}

/* Returns: as step_hex() */
static bool step_utf8(SfLexer *lexer, uint8_t byte)
{
	if (byte < lexer->utf8_min || byte > lexer->utf8_max) {
		blame(lexer, "invalid UTF-8 sequence in string");
		lexer->state = SF_LEXER_STRING;
		return false;
	}
	append_byte(lexer, byte);
	lexer->utf8_min = 0x80;
	lexer->utf8_max = 0xBF;
	if (--lexer->utf8_left == 0)
		lexer->state = SF_LEXER_STRING;
	return true;
}

static SfToken step_string(SfLexer *lexer, uint8_t byte)
{
	if (lexer->high_surrogate && byte != '\\')
		blame_half_pair(lexer, lexer->high_surrogate);
	if (byte == lexer->quote) {
		append_byte(lexer, '"');
		lexer->state = SF_LEXER_BETWEEN;
		return SF_TOKEN_STRING;
	}
	if (byte < 0x20) {
		blame(lexer, "control character in string");
		if (byte != '\t') {
			lexer->state = SF_LEXER_BETWEEN;
			return SF_TOKEN_BROKEN;
		}
	} else if (byte == '\\') {
		lexer->state = SF_LEXER_ESCAPE;
	} else if (byte >= 0x80) {
		begin_utf8(lexer, byte);
	} else {
		append_code_point(lexer, byte);
	}
	return SF_TOKEN_NONE;
}

/* The greater part of a long message is the inside of strings: taken as whole runs. */
static size_t plain_run(const SfLexer *lexer, const uint8_t *data, size_t len)
{
	size_t run = 0;

	if (lexer->state != SF_LEXER_STRING || lexer->high_surrogate)
		return 0;
	while (run < len && data[run] >= 0x20 && data[run] < 0x80 && data[run] != '\\' &&
	       data[run] != '"' && data[run] != '\'')
		run++;
	return run;
}

/* --- all of it --- */

static SfToken begin_token(SfLexer *lexer, uint8_t byte)
{
	static const char marks[] = "{}[]:,";
	static const SfToken tokens[] = {
		SF_TOKEN_OPEN_OBJECT, SF_TOKEN_CLOSE_OBJECT, SF_TOKEN_OPEN_ARRAY,
		SF_TOKEN_CLOSE_ARRAY, SF_TOKEN_COLON,        SF_TOKEN_COMMA,
	};
	const char *mark = byte ? strchr(marks, byte) : NULL;

	if (is_blank(byte))
		return SF_TOKEN_NONE;
	lexer->start = lexer->text ? lexer->text->len : 0;
	if (byte == '"' || byte == '\'') {
		lexer->state = SF_LEXER_STRING;
		lexer->quote = (char)byte;
		lexer->high_surrogate = 0;
		append_byte(lexer, '"');
		return SF_TOKEN_NONE;
	}
	append_byte(lexer, byte);
	if (mark)
		return tokens[mark - marks];
	lexer->state = SF_LEXER_WORD;
	return SF_TOKEN_NONE;
}

/* Returns: as step_hex() */
static bool step(SfLexer *lexer, uint8_t byte, SfToken *out_token)
{
	switch (lexer->state) {
	case SF_LEXER_BETWEEN:
		*out_token = begin_token(lexer, byte);
		return true;
	case SF_LEXER_WORD:
		if (!ends_word(byte)) {
			append_byte(lexer, byte);
			return true;
		}
		finish_word(lexer);
		*out_token = SF_TOKEN_SCALAR;
		return false;
	case SF_LEXER_STRING:
		*out_token = step_string(lexer, byte);
		return true;
	case SF_LEXER_ESCAPE:
		/* A control character breaks the line here too. */
		if (byte < 0x20) {
			lexer->state = SF_LEXER_STRING;
			return false;
		}
		step_escape(lexer, byte);
		return true;
	case SF_LEXER_HEX:
		return step_hex(lexer, byte);
	case SF_LEXER_UTF8:
		return step_utf8(lexer, byte);
	}
	return true;
}

SfToken sf_lexer_next(SfLexer *lexer, const uint8_t **data, size_t *len)
{
	while (*len > 0) {
		size_t run = plain_run(lexer, *data, *len);
		SfToken token = SF_TOKEN_NONE;
		bool used = true;

		if (run > 0)
			append(lexer, *data, run);
		else if (**data == 0xFF)
			token = SF_TOKEN_RESET;
		else
			used = step(lexer, **data, &token);

		run = MAX(run, (size_t)used);
		*data += run;
		*len -= run;
		if (token != SF_TOKEN_NONE)
			return token;
	}
	return SF_TOKEN_NONE;
}
