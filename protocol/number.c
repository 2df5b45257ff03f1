/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns which numbers are JSON, and which of them are integers. Holds no state. Called by lexer.c
 * only. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/number.h"

static const char *skip_digits(const char *at)
{
	while (g_ascii_isdigit(*at))
		at++;
	return at;
}

/* The grammar of RFC 8259: no leading zero, no bare point, no plus sign. */
static bool is_number(const char *word, bool *out_is_integer)
{
	const char *digits = *word == '-' ? word + 1 : word;
	const char *at = skip_digits(digits);
	bool is_integer = true;

	if (at == digits || (*digits == '0' && at > digits + 1))
		return false;
	if (*at == '.') {
		const char *fraction = at + 1;
		at = skip_digits(fraction);
		if (at == fraction)
			return false;
		is_integer = false;
	}
	if (*at == 'e' || *at == 'E') {
		const char *exponent = at[1] == '+' || at[1] == '-' ? at + 2 : at + 1;
		at = skip_digits(exponent);
		if (at == exponent)
			return false;
		is_integer = false;
	}
	*out_is_integer = is_integer;
	return *at == '\0';
}

static bool fits_int64(const char *word)
{
	errno = 0;
	(void)strtoll(word, NULL, 10);
	return errno == 0;
}

SfNumberResult sf_number_normalize(GString *text, size_t start)
{
	const char *word = text->str + start;
	char digits[G_ASCII_DTOSTR_BUF_SIZE];
	bool is_integer;
	double value;

	if (!is_number(word, &is_integer))
		return SF_NUMBER_INVALID;
	if (is_integer && fits_int64(word))
		return SF_NUMBER_OK;

	value = g_ascii_strtod(word, NULL);
	if (!isfinite(value))
		return SF_NUMBER_OUT_OF_RANGE;
	g_ascii_formatd(digits, sizeof digits, "%.17g", value);
	g_string_truncate(text, start);
	g_string_append(text, digits);
	if (!strpbrk(digits, ".e"))
		g_string_append(text, ".0");
	return SF_NUMBER_OK;
}
