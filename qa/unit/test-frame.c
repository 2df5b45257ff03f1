/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/frame (with lexer, grammar, number): bytes in, events out, for every way to cut them. */
#include "config.h"

#include <string.h>

#include "protocol/error.h"
#include "protocol/frame.h"
#include "qa/unit/frame-log.h"
#include "qa/unit/memory.h"

#define PARSE "error JSON parse error, "
#define BAD_UTF8 PARSE "invalid UTF-8 sequence in string\n"
#define HALF_PAIR(escape) PARSE "\\u" escape " is not a valid Unicode character\n"
#define CONTROL PARSE "control character in string\n"
#define PING "{\"execute\": \"guest-ping\"}"
#define PONG "message {\"execute\":\"guest-ping\"}\n"

typedef struct {
	const char *name;
	const char *input;
	const char
		*log; /* the events; behind them a ping is always tried, see check_next_works() */
} Case;

static const Case cases[] = {
	/* What is read. */
	{"object", "{\"execute\": \"guest-ping\"}", PONG},
	{"blanks", " \t\r\n{ \"a\"\n:\r1\t}\n\n", "message {\"a\":1}\n"},
	{"every-type", "{\"a\":[1,-2,true,false,null,\"x\",{},[]]}",
	 "message {\"a\":[1,-2,true,false,null,\"x\",{},[]]}\n"},
	{"two-on-a-line", PING PING, PONG PONG},
	{"single-quotes", "{'execute':'guest-ping'}", PONG},
	{"single-quotes-hold-double", "{'a':'say \"x\"'}", "message {\"a\":\"say \\\"x\\\"\"}\n"},
	{"double-quotes-hold-single", "{\"a\":\"it's\"}", "message {\"a\":\"it's\"}\n"},
	{"escaped-single-quote", "{'a':'it\\'s'}", "message {\"a\":\"it's\"}\n"},
	{"escapes", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
	 "message {\"a\":\"\\\"\\\\/\\u0008\\u000C\\u000A\\u000D\\u0009\"}\n"},
	{"base64-with-newlines", "{\"a\":\"AAAA\\nBBBB\\n\"}",
	 "message {\"a\":\"AAAA\\u000ABBBB\\u000A\"}\n"},
	{"unicode-escape", "{\"a\":\"\\u00e9\\u20AC\"}", "message {\"a\":\"é€\"}\n"},
	{"surrogate-pair", "{\"a\":\"\\ud83d\\uDE00\"}", "message {\"a\":\"😀\"}\n"},
	{"raw-utf8", "{\"a\":\"é€😀\x7F\xF4\x8F\xBF\xBF\"}",
	 "message {\"a\":\"é€😀\x7F\xF4\x8F\xBF\xBF\"}\n"},
	{"braces-in-strings", "{\"a\":\"}]{[\\\"}\"}", "message {\"a\":\"}]{[\\\"}\"}\n"},
	{"array-on-top", "[1]", "message [1]\n"},
	{"number-on-top", "7\n", "message 7\n"},
	{"null-on-top", "null\n", "message null\n"},
	{"string-on-top", "\"x\"", "message \"x\"\n"},

	/* Numbers. */
	{"int64-max", "[9223372036854775807]", "message [9223372036854775807]\n"},
	{"int64-min", "[-9223372036854775808]", "message [-9223372036854775808]\n"},
	{"2^63-is-no-integer", "[9223372036854775808]", "message [9.2233720368547758e+18]\n"},
	{"2^64-1-is-no-integer", "[18446744073709551615]", "message [1.8446744073709552e+19]\n"},
	{"below-int64-is-no-integer", "[-9223372036854775809]",
	 "message [-9.2233720368547758e+18]\n"},
	{"1.0-is-no-integer", "[1.0]", "message [1.0]\n"},
	{"floating", "[0.5,-1.5e3,1E-2,1e400000000000000000000000]", PARSE "number out of range\n"},
	{"exponents", "[0.5,-1.5e3,1E-2,2e+1]", "message [0.5,-1500.0,0.01,20.0]\n"},
	{"leading-zero", "[01]", PARSE "stray '01'\n"},
	{"leading-zero-negative", "[-01]", PARSE "stray '-01'\n"},
	{"leading-point", "[.5]", PARSE "stray '.5'\n"},
	{"trailing-point", "[1.]", PARSE "stray '1.'\n"},
	{"empty-exponent", "[1e]", PARSE "stray '1e'\n"},
	{"empty-signed-exponent", "[1e+]", PARSE "stray '1e+'\n"},
	{"plus", "[+1]", PARSE "stray '+1'\n"},
	{"lone-minus", "[-]", PARSE "stray '-'\n"},
	{"hexadecimal", "[0x10]", PARSE "stray '0x10'\n"},
	{"minus-infinity", "[-Infinity]", PARSE "stray '-Infinity'\n"},

	/* Keywords and what stands in their place. */
	{"nan", "[NaN]", PARSE "stray 'NaN'\n"},
	{"infinity", "{\"a\":Infinity}", PARSE "stray 'Infinity'\n"},
	{"capital-true", "{\"a\":True}", PARSE "stray 'True'\n"},
	{"line-comment", "// x\n", PARSE "stray '//'\n" PARSE "invalid keyword 'x'\n"},
	{"comment-within", "{/* x */\"a\":1}", PARSE "stray '/*'\n"},
	{"stray-byte", "{\"a\":@}", PARSE "stray '@'\n"},
	{"stray-control", "{\x01}", PARSE "stray '\\001'\n"},
	{"stray-high-byte", "{\xC3\xA9}", PARSE "stray '\\303\\251'\n"},
	{"long-word", "[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]",
	 PARSE "invalid keyword 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n"},

	/* Strings. */
	{"overlong-utf8", "[\"\xC0\xAF\"]", BAD_UTF8},
	{"overlong-utf8-of-3", "[\"\xE0\x9F\xBF\"]", BAD_UTF8},
	{"overlong-utf8-of-4", "[\"\xF0\x8F\xBF\xBF\"]", BAD_UTF8},
	{"utf8-surrogate", "[\"\xED\xA0\x80\"]", BAD_UTF8},
	{"utf8-beyond-unicode", "[\"\xF4\x90\x80\x80\"]", BAD_UTF8},
	{"utf8-lone-continuation", "[\"\x80\"]", BAD_UTF8},
	{"utf8-cut-by-quote", "[\"\xE2\x82\"]", BAD_UTF8},
	{"utf8-cut-by-letter", "[\"\xE2x\"]", BAD_UTF8},
	{"utf8-fe", "[\"\xFE\"]", BAD_UTF8},
	{"bad-utf8-in-key", "{\"\xFE\":1}", BAD_UTF8},
	{"bad-escape", "[\"\\q\"]", PARSE "invalid escape sequence in string\n"},
	{"short-hex-escape", "[\"\\u12\"]",
	 PARSE "invalid escape, \\u takes four hexadecimal digits\n"},
	{"nul-escape", "[\"\\u0000\"]", PARSE "invalid escape, a string cannot hold \\u0000\n"},
	{"high-surrogate-alone", "[\"\\ud83d\"]", HALF_PAIR("d83d")},
	{"high-surrogate-then-letter", "[\"\\ud83dx\"]", HALF_PAIR("d83d")},
	{"high-surrogate-then-escape", "[\"\\ud83d\\n\"]", HALF_PAIR("d83d")},
	{"high-surrogate-then-other", "[\"\\ud83d\\u0041\"]", HALF_PAIR("d83d")},
	{"high-surrogate-twice", "[\"\\ud83d\\ud83d\"]", HALF_PAIR("d83d")},
	{"high-surrogate-letter-low", "[\"\\ud83dx\\ude00\"]", HALF_PAIR("d83d")},
	{"low-surrogate-alone", "[\"\\ude00\"]", HALF_PAIR("de00")},
	{"raw-tab-in-string", "{\"a\":\"x\ty\"}", CONTROL},
	{"raw-tab-then-brace", "{\"a\":\"x\t{\"}", CONTROL},
	{"raw-newline-in-string", "{\"a\":\"x\ny\"}", CONTROL},
	{"raw-newlines-in-base64", "{\"a\":{\"b\":\"AA\nBB\nCC==\"}}", CONTROL},
	{"raw-newline-then-members", "{\"a\":\"x\ny\",\"b\":\"}\",\"c\":{}}", CONTROL},
	{"raw-newline-in-escape", "{\"a\":\"x\\\ny\"}", CONTROL},
	{"raw-newline-in-top-string", "\"abc\ndef,", CONTROL PARSE "expecting value\n"},
	{"string-broken-off", "{\"execute\": \"guest-pi\n", CONTROL},
	{"string-broken-off-over-lines", "{\"a\":\"x\nyyy\nzzz\n", CONTROL},
	{"string-broken-off-twice", "{\"a\": \"x\n \n{\"a\": \"x\n", CONTROL CONTROL},
	{"quotes-do-not-pair", "{\"execute\": 'guest-ping\"}\n", CONTROL},
	{"quote-within-string", "{\"a\": \"x\"y\"}\n", PARSE "invalid keyword 'y'\n"},

	/* Grammar. */
	{"duplicate-key", "{\"a\":1,\"a\":2}", PARSE "duplicate key\n"},
	{"duplicate-key-escaped", "{\"a\":1,\"\\u0061\":2}", PARSE "duplicate key\n"},
	{"duplicate-key-quoted-otherwise", "{\"a'\":1,'a\\'':2}", PARSE "duplicate key\n"},
	{"duplicate-key-within", "{\"a\":[{\"b\":1,\"c\":{\"b\":1},\"b\":2}]}",
	 PARSE "duplicate key\n"},
	{"duplicate-key-around", "{\"a\":1,\"b\":{},\"a\":2}", PARSE "duplicate key\n"},
	{"same-key-as-within", "{\"a\":{\"b\":1},\"b\":2}", "message {\"a\":{\"b\":1},\"b\":2}\n"},
	{"same-key-in-other-objects", "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}",
	 "message {\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}\n"},
	{"trailing-comma-object", "{\"a\":1,}", PARSE "expecting value\n"},
	{"trailing-comma-array", "{\"a\":[1,]}", PARSE "expecting value\n"},
	{"leading-comma-array", "[,1]", PARSE "expecting value\n"},
	{"leading-comma-object", "{,\"a\":1}", PARSE "expecting value\n"},
	{"two-commas", "[1,,2]", PARSE "expecting value\n"},
	{"number-as-key", "{1:2}", PARSE "key is not a string in object\n"},
	{"bare-key", "{a:1}", PARSE "invalid keyword 'a'\n"},
	{"no-colon", "{\"a\" 1}", PARSE "missing : in object pair\n"},
	{"no-value", "{\"a\":}", PARSE "expecting value\n"},
	{"no-comma-object", "{\"a\":1 \"b\":2}", PARSE "expected separator in dict\n"},
	{"no-comma-array", "[1 2]", PARSE "expected separator in list\n"},
	{"colon-in-array", "[1:2]", PARSE "expected separator in list\n"},
	{"stray-closing", "}", PARSE "expecting value\n"},
	{"stray-comma", ",", PARSE "expecting value\n"},
	{"array-closed-by-brace", "[1}", PARSE "expected separator in list\n"},
	{"object-closed-by-bracket", "{\"a\":1]", PARSE "expected separator in dict\n"},
	{"unclosed-array-in-object", "{\"a\":[}", PARSE "expecting value\n"},
	{"rest-is-skipped", "{\"a\" 1, \"b\": {\"c\": [\"}\\\"]\", '\\'}']}}",
	 PARSE "missing : in object pair\n"},

	/* 0xFF. */
	{"reset-idle", "\xFF", "reset\n"},
	{"reset-in-object", "{\"a\":\xFF", "reset\n"},
	{"reset-in-string", "{\"a\":\"x\xFF", "reset\n"},
	{"reset-in-escape", "{\"a\":\"\\\xFF", "reset\n"},
	{"reset-in-hex", "{\"a\":\"\\u1\xFF", "reset\n"},
	{"reset-in-utf8", "{\"a\":\"\xE2\xFF", "reset\n"},
	{"reset-in-number", "12\xFF", "reset\n"},
	{"reset-in-skipped", "{\"a\" 1, \"x\xFF", PARSE "missing : in object pair\nreset\n"},
	{"reset-after-broken-line", "{\"a\":\"x\ny\xFF", CONTROL "reset\n"},
	{"reset-twice", "\xFF\xFF", "reset\nreset\n"},
	{"sync-and-command-in-one-write",
	 "\xFF{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":5}}\n" PING "\n",
	 "reset\nmessage {\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":5}}\n" PONG},
};

static const SfFrameLimits small_limits = {.max_bytes = 40, .max_tokens = 9, .max_depth = 3};

static const Case limit_cases[] = {
	{"bytes-just-fit", "{\"a\":\"0123456789012345678901234567890\"}   ",
	 "message {\"a\":\"0123456789012345678901234567890\"}\n"},
	{"string-too-long", "{\"a\":\"012345678901234567890123456789012345678901234567}\"}",
	 "error JSON token size limit exceeded\n"},
	{"blanks-too-long", "{\"a\":                                                      1}",
	 "error JSON token size limit exceeded\n"},
	{"word-too-long", "01234567890123456789012345678901234567890123456789\n",
	 "error JSON token size limit exceeded\n"},
	{"blanks-between-are-free",
	 "{}                                                            {}",
	 "message {}\nmessage {}\n"},
	{"tokens-just-fit", "[1,2,3,4]", "message [1,2,3,4]\n"},
	{"too-many-tokens", "[1,2,3,4,5,6,\"]\"]", "error JSON token count limit exceeded\n"},
	{"depth-just-fits", "{\"a\":[{}]}", "message {\"a\":[{}]}\n"},
	{"too-deep", "{\"a\":[{\"b\":[1]}]}", "error JSON nesting depth limit exceeded\n"},
	{"too-deep-arrays", "[[[[[[\"[\"]]]]]]", "error JSON nesting depth limit exceeded\n"},
};

static void check_log(const SfFrameLimits *limits, const uint8_t *input, size_t len,
		      const uint8_t *cuts, size_t n_cuts, const char *expected)
{
	g_autofree char *log = sf_frame_log(limits, input, len, cuts, n_cuts);

	g_assert_cmpstr(log, ==, expected);
}

/* In one piece, byte by byte, and in two pieces cut at every place. */
static void check_every_cut(const SfFrameLimits *limits, const char *text, const char *expected)
{
	const uint8_t *input = (const uint8_t *)text;
	size_t len = strlen(text);
	const uint8_t single = 0;

	check_log(limits, input, len, NULL, 0, expected);
	check_log(limits, input, len, &single, 1, expected);
	for (size_t cut = 0; cut + 1 < MIN(len, 256); cut++) {
		const uint8_t cuts[] = {(uint8_t)cut, 255};
		check_log(limits, input, len, cuts, G_N_ELEMENTS(cuts), expected);
	}
}

static void check_case(const SfFrameLimits *limits, const Case *one)
{
	/* Whatever was wrong with a message, the command in the next line is read. */
	g_autofree char *with_next = g_strconcat(one->input, "\n", PING, NULL);
	g_autofree char *log = g_strconcat(one->log, PONG, NULL);

	check_every_cut(limits, with_next, log);
}

static void test_case(gconstpointer one)
{
	check_case(&sf_frame_default_limits, one);
}

static void test_limit_case(gconstpointer one)
{
	check_case(&small_limits, one);
}

/* Where quotes pair, not even a newline is needed before the next command. */
static void test_next_on_same_line(void)
{
	static const char *const bad[] = {
		"{\"a\":1,\"a\":2}",   "{\"a\":[1,]}",     "{\"a\":@}",
		"{\"a\":\"\xFE\"}",    "{\"a\":\"\\q\"}",  "{\"a\":\"x\ty\"}",
		"{\"a\":\"x\ny\"}",    "{\"a\":[}",        "[1}",
		"{\"a\":\"\\ud83d\"}", "{\"a\":\"\xE2\"}", "{\"a\":\"x\ny\",\"b\":[{}]}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *input = g_strconcat(bad[i], PING, NULL);
		g_autofree char *log = sf_frame_log(&sf_frame_default_limits,
						    (const uint8_t *)input, strlen(input), NULL, 0);

		g_test_message("%s", input);
		g_assert_true(g_str_has_prefix(log, "error JSON parse error, "));
		g_assert_true(g_str_has_suffix(log, "\n" PONG));
		g_assert_nonnull(strchr(log, '\n'));
		g_assert_cmpstr(strchr(log, '\n') + 1, ==, PONG);
	}
}

static void test_half_read(void)
{
	static const Case halves[] = {
		{"object", "{\"execute\": \"guest-ping\"", "half\n"},
		{"brace", "{", "half\n"},
		{"string", "\"a", "half\n"},
		{"word", "tru", "half\n"},
		{"blanks", " \n\t\r ", ""},
		{"nothing", "", ""},
		{"behind-a-message", "{} ", "message {}\n"},
		{"skipped", "{\"a\" 1, {\"b\": ", PARSE "missing : in object pair\nhalf\n"},
		{"broken-line", "{\"a\":\"x\n ", CONTROL},
		{"broken-line-goes-on", "{\"a\":\"x\ny", CONTROL "half\n"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(halves); i++)
		check_every_cut(&sf_frame_default_limits, halves[i].input, halves[i].log);
}

static void test_embedded_nul(void)
{
	static const uint8_t between[] = "\0\n{}";
	static const uint8_t in_word[] = "[1\0002]{}";
	static const uint8_t in_string[] = "[\"x\0y\"]{}";

	check_log(&sf_frame_default_limits, between, sizeof between - 1, NULL, 0,
		  PARSE "stray '\\0'\nmessage {}\n");
	check_log(&sf_frame_default_limits, in_word, sizeof in_word - 1, NULL, 0,
		  PARSE "stray '\\0'\nmessage {}\n");
	check_log(&sf_frame_default_limits, in_string, sizeof in_string - 1, NULL, 0,
		  CONTROL "message {}\n");
}

static void test_reset_forgets(void)
{
	g_autoptr(SfFrame) frame = sf_frame_new(&sf_frame_default_limits);
	g_autofree char *text = NULL;
	const uint8_t *half = (const uint8_t *)"{\"a\":\"x";
	const uint8_t *whole = (const uint8_t *)"{}";
	size_t half_len = strlen((const char *)half);
	size_t whole_len = 2;

	g_assert_cmpint(sf_frame_next(frame, &half, &half_len, &text, NULL), ==, SF_FRAME_MORE);
	g_assert_true(sf_frame_is_half_read(frame));
	sf_frame_reset(frame);
	g_assert_false(sf_frame_is_half_read(frame));
	g_assert_cmpint(sf_frame_next(frame, &whole, &whole_len, &text, NULL), ==,
			SF_FRAME_MESSAGE);
	g_assert_cmpstr(text, ==, "{}");
}

static void test_deep(void)
{
	const unsigned int depth = sf_frame_default_limits.max_depth;
	g_autofree char *open = g_strnfill(depth + 1, '[');
	g_autofree char *close = g_strnfill(depth + 1, ']');
	g_autofree char *fits = g_strdup_printf("%s%s", open + 1, close + 1);
	g_autofree char *fits_log = g_strdup_printf("message %s\n", fits);
	g_autofree char *too_deep = g_strdup_printf("%s%s{}", open, close);

	check_log(&sf_frame_default_limits, (const uint8_t *)fits, strlen(fits), NULL, 0, fits_log);
	check_log(&sf_frame_default_limits, (const uint8_t *)too_deep, strlen(too_deep), NULL, 0,
		  "error JSON nesting depth limit exceeded\nmessage {}\n");
}

/* Skipping needs no memory for depth, so it has no limit of its own. */
static void test_skipped_without_end(void)
{
	g_autofree char *open = g_strnfill(1000000, '{');
	g_autofree char *close = g_strnfill(1000000, '}');
	g_autofree char *input = g_strdup_printf("%s%s{}", open, close);

	check_log(&sf_frame_default_limits, (const uint8_t *)input, strlen(input), NULL, 0,
		  PARSE "key is not a string in object\nmessage {}\n");
}

/* What is skipped is not kept. */
static void test_skipped_memory(void)
{
	const SfFrameLimits limits = {.max_bytes = 1 << 20, .max_tokens = 100, .max_depth = 10};
	const size_t len = 1 << 20;
	g_autofree char *chunk = g_strnfill(len, 'A');
	g_autoptr(SfFrame) frame = sf_frame_new(&limits);
	size_t before = resident_bytes();
	unsigned int n_errors = 0;

	memcpy(chunk, "\"", 1);
	for (int i = 0; i < 64; i++) {
		const uint8_t *data = (const uint8_t *)chunk;
		size_t left = len;
		SfFrameEvent event;
		char *text;

		while ((event = sf_frame_next(frame, &data, &left, &text, NULL)) != SF_FRAME_MORE) {
			g_assert_cmpint(event, ==, SF_FRAME_ERROR);
			n_errors++;
		}
		chunk[0] = 'A';
	}
	g_assert_cmpuint(n_errors, ==, 1);
	g_assert_cmpuint(resident_bytes(), <, before + (16 << 20));
}

static char *object_of(unsigned int members)
{
	GString *object = g_string_new("{");

	for (unsigned int i = 0; i < members; i++)
		g_string_append_printf(object, "%s\"k%u\":%u", i > 0 ? "," : "", i, i);
	g_string_append(object, "}");
	return g_string_free(object, FALSE);
}

static void test_many_members(void)
{
	g_autofree char *fits = object_of(256);
	g_autofree char *too_many = object_of(257);
	g_autofree char *fits_log = g_strdup_printf("message %s\n", fits);

	check_log(&sf_frame_default_limits, (const uint8_t *)fits, strlen(fits), NULL, 0, fits_log);
	check_log(&sf_frame_default_limits, (const uint8_t *)too_many, strlen(too_many), NULL, 0,
		  "error JSON token count limit exceeded\n");
}

/* The time that a message of @len bytes takes byte by byte, in seconds of this thread. */
static double time_bytes(size_t len)
{
	static const char head[] = "{\"a\":\"", tail[] = "\"}";
	g_autofree char *message = g_strnfill(len, 'A');
	g_autoptr(SfFrame) frame = sf_frame_new(&sf_frame_default_limits);
	g_autofree char *text = NULL;
	GTimer *timer;
	double seconds;
	SfFrameEvent event = SF_FRAME_MORE;

	memcpy(message, head, strlen(head));
	memcpy(message + len - strlen(tail), tail, strlen(tail));
	timer = g_timer_new();
	for (size_t i = 0; i < len; i++) {
		const uint8_t *data = (const uint8_t *)message + i;
		size_t left = 1;
		g_assert_cmpint(event, ==, SF_FRAME_MORE);
		event = sf_frame_next(frame, &data, &left, &text, NULL);
	}
	seconds = g_timer_elapsed(timer, NULL);
	g_timer_destroy(timer);
	g_assert_cmpint(event, ==, SF_FRAME_MESSAGE);
	g_assert_cmpstr(text, ==, message);
	return seconds;
}

/* Eight times the bytes take eight times as long, and 64 times as long were it quadratic; 24 lies
 * between, with room for a busy machine. */
static void test_linear(void)
{
	const size_t whole = sf_frame_default_limits.max_bytes;

	for (int attempt = 0; attempt < 5; attempt++) {
		double eighth = time_bytes(whole / 8);
		if (time_bytes(whole) < 24 * eighth)
			return;
	}
	g_test_fail();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = g_strdup_printf("/frame/%s", cases[i].name);
		g_test_add_data_func(path, &cases[i], test_case);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(limit_cases); i++) {
		g_autofree char *path = g_strdup_printf("/frame/limit/%s", limit_cases[i].name);
		g_test_add_data_func(path, &limit_cases[i], test_limit_case);
	}
	g_test_add_func("/frame/next-on-same-line", test_next_on_same_line);
	g_test_add_func("/frame/half-read", test_half_read);
	g_test_add_func("/frame/embedded-nul", test_embedded_nul);
	g_test_add_func("/frame/reset-forgets", test_reset_forgets);
	g_test_add_func("/frame/deep", test_deep);
	g_test_add_func("/frame/skipped-without-end", test_skipped_without_end);
	g_test_add_func("/frame/skipped-memory", test_skipped_memory);
	g_test_add_func("/frame/many-members", test_many_members);
	g_test_add_func("/frame/linear", test_linear);
	return g_test_run();
}
