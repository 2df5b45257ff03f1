/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/format: durations both ways, and that no text steers a terminal. */
#include "config.h"

#include <math.h>

#include "client/format.h"

static void test_parse(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"10", 10000},  {"10s", 10000},   {"500ms", 500},
		{"5m", 300000}, {"5min", 300000}, {"1h", 3600000},
		{"0", 0},       {"007s", 7000},   {"8784h", 31622400000},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		int64_t ms = -1;

		g_assert_true(sf_parse_duration(cases[i].text, &ms, &error));
		g_assert_no_error(error);
		g_assert_cmpint(ms, ==, cases[i].ms);
	}
}

static void test_parse_refuses(void)
{
	static const char *const cases[] = {
		"",
		"s",
		"-1",
		"+1",
		"1.5s",
		" 1",
		"1 s",
		"1s ",
		"10x",
		"1H",
		"0x10",
		"1sm",
		"1e3",
		"inf",
		"8785h",
		"99999999999999999999",
		"999999999999999999h",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		int64_t ms = -1;

		g_assert_false(sf_parse_duration(cases[i], &ms, &error));
		g_assert_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE);
		g_assert_cmpint(ms, ==, -1);
	}
}

static void test_format(void)
{
	static const struct {
		double ms;
		const char *text;
	} cases[] = {
		{0, "0 ms"},
		{-5, "0 ms"},
		{NAN, "0 ms"},
		{0.88, "0.88 ms"},
		{1e-9, "0.001 ms"},
		{0.042, "0.042 ms"},
		{3, "3 ms"},
		{9.94, "9.9 ms"},
		{9.96, "10 ms"},
		{66, "66 ms"},
		{999.4, "999 ms"},
		{999.6, "1.0 s"},
		{1234, "1.2 s"},
		{59949, "59.9 s"},
		{59951, "1 min"},
		{300000, "5 min"},
		{303000, "5 min 3 s"},
		{3599600, "1 h"},
		{3900000, "1 h 5 min"},
		{INFINITY, "277777777 h 46 min"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = sf_format_duration(cases[i].ms);

		g_assert_cmpstr(text, ==, cases[i].text);
	}
}

static void test_escape(void)
{
	static const struct {
		const char *text;
		const char *utf8;
		const char *ascii;
	} cases[] = {
		{"/mnt/a b", "/mnt/a b", "/mnt/a b"},
		{"/grün", "/grün", "/gr\\u{fc}n"},
		{"/日本", "/日本", "/\\u{65e5}\\u{672c}"},
		{"\033]0;owned\a", "\\x1b]0;owned\\x07", "\\x1b]0;owned\\x07"},
		{"a\nb\tc\rd\177", "a\\nb\\tc\\x0dd\\x7f", "a\\nb\\tc\\x0dd\\x7f"},
		{"back\\slash", "back\\\\slash", "back\\\\slash"},
		{"\302\233A", "\\u{9b}A", "\\u{9b}A"},                  /* CSI in one byte */
		{"\342\200\256txt", "\\u{202e}txt", "\\u{202e}txt"},    /* right to left */
		{"a\342\200\213b", "a\\u{200b}b", "a\\u{200b}b"},       /* no width */
		{"e\314\201", "e\\u{301}", "e\\u{301}"},                /* combining */
		{"\342\200\250", "\\u{2028}", "\\u{2028}"},             /* line separator */
		{"\377x\303", "\\xffx\\xc3", "\\xffx\\xc3"},            /* no UTF-8 */
		{"\355\240\200", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *utf8 = sf_escape(cases[i].text, true);
		g_autofree char *ascii = sf_escape(cases[i].text, false);

		g_assert_cmpstr(utf8, ==, cases[i].utf8);
		g_assert_cmpstr(ascii, ==, cases[i].ascii);
	}
}

static void test_width(void)
{
	g_assert_cmpuint(sf_display_width(""), ==, 0);
	g_assert_cmpuint(sf_display_width("/grün"), ==, 5);
	g_assert_cmpuint(sf_display_width("日本"), ==, 4);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/format/parse-duration", test_parse);
	g_test_add_func("/format/parse-duration-refuses", test_parse_refuses);
	g_test_add_func("/format/format-duration", test_format);
	g_test_add_func("/format/escape", test_escape);
	g_test_add_func("/format/display-width", test_width);
	return g_test_run();
}
