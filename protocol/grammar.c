/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns what may follow what in a message, and the keys of every object that is still open. The two
 * lists always have an entry per open container. Called by frame.c only, which bounds depth and
 * number of tokens. */
#include "config.h"

#include "protocol/error.h"
#include "protocol/grammar.h"

enum {
	EXPECT_KEY_OR_END,
	EXPECT_KEY,
	EXPECT_COLON,
	EXPECT_MEMBER,
	EXPECT_MEMBER_END,
	EXPECT_ITEM_OR_END,
	EXPECT_ITEM,
	EXPECT_ITEM_END,
};

static void free_keys(gpointer keys)
{
	if (keys)
		g_hash_table_unref(keys);
}

void sf_grammar_clear(SfGrammar *grammar)
{
	g_clear_pointer(&grammar->expects, g_byte_array_unref);
	g_clear_pointer(&grammar->keys, g_ptr_array_unref);
	grammar->is_done = false;
}

static uint8_t *top(SfGrammar *grammar)
{
	if (!grammar->expects || grammar->expects->len == 0)
		return NULL;
	return &grammar->expects->data[grammar->expects->len - 1];
}

static bool open_container(SfGrammar *grammar, uint8_t expect)
{
	if (!grammar->expects) {
		grammar->expects = g_byte_array_new();
		grammar->keys = g_ptr_array_new_with_free_func(free_keys);
	}
	g_byte_array_append(grammar->expects, &expect, 1);
	g_ptr_array_add(grammar->keys, NULL);
	return true;
}

/* A value has ended: what its container awaits now. */
static bool end_value(SfGrammar *grammar)
{
	uint8_t *expect = top(grammar);

	if (!expect)
		grammar->is_done = true;
	else
		*expect = *expect == EXPECT_MEMBER ? EXPECT_MEMBER_END : EXPECT_ITEM_END;
	return true;
}

static bool close_container(SfGrammar *grammar)
{
	g_byte_array_set_size(grammar->expects, grammar->expects->len - 1);
	g_ptr_array_set_size(grammar->keys, (int)grammar->keys->len - 1);
	return end_value(grammar);
}

static bool take_value(SfGrammar *grammar, SfToken token, GError **error)
{
	switch (token) {
	case SF_TOKEN_OPEN_OBJECT:
		return open_container(grammar, EXPECT_KEY_OR_END);
	case SF_TOKEN_OPEN_ARRAY:
		return open_container(grammar, EXPECT_ITEM_OR_END);
	case SF_TOKEN_STRING:
	case SF_TOKEN_SCALAR:
		return end_value(grammar);
	default:
		return sf_throw(error, "JSON parse error, expecting value");
	}
}

static bool begins_value(SfToken token)
{
	return token == SF_TOKEN_STRING || token == SF_TOKEN_SCALAR ||
	       token == SF_TOKEN_OPEN_OBJECT || token == SF_TOKEN_OPEN_ARRAY;
}

static bool take_key(SfGrammar *grammar, SfToken token, const char *text, size_t len,
		     GError **error)
{
	GHashTable **keys = (GHashTable **)&grammar->keys->pdata[grammar->keys->len - 1];

	if (!begins_value(token))
		return sf_throw(error, "JSON parse error, expecting value");
	if (token != SF_TOKEN_STRING)
		return sf_throw(error, "JSON parse error, key is not a string in object");
	if (!*keys)
		*keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!g_hash_table_add(*keys, g_strndup(text, len)))
		return sf_throw(error, "JSON parse error, duplicate key");
	if (g_hash_table_size(*keys) > SF_GRAMMAR_MAX_MEMBERS)
		return sf_throw(error, "JSON token count limit exceeded");
	*top(grammar) = EXPECT_COLON;
	return true;
}

bool sf_grammar_take(SfGrammar *grammar, SfToken token, const char *text, size_t len,
		     GError **error)
{
	uint8_t *expect = top(grammar);

	if (!expect)
		return take_value(grammar, token, error);

	switch (*expect) {
	case EXPECT_KEY_OR_END:
		if (token == SF_TOKEN_CLOSE_OBJECT)
			return close_container(grammar);
		return take_key(grammar, token, text, len, error);
	case EXPECT_KEY:
		return take_key(grammar, token, text, len, error);
	case EXPECT_COLON:
		if (token != SF_TOKEN_COLON)
			return sf_throw(error, "JSON parse error, missing : in object pair");
		*expect = EXPECT_MEMBER;
		return true;
	case EXPECT_MEMBER_END:
		if (token == SF_TOKEN_CLOSE_OBJECT)
			return close_container(grammar);
		if (token != SF_TOKEN_COMMA)
			return sf_throw(error, "JSON parse error, expected separator in dict");
		*expect = EXPECT_KEY;
		return true;
	case EXPECT_ITEM_END:
		if (token == SF_TOKEN_CLOSE_ARRAY)
			return close_container(grammar);
		if (token != SF_TOKEN_COMMA)
			return sf_throw(error, "JSON parse error, expected separator in list");
		*expect = EXPECT_ITEM;
		return true;
	case EXPECT_ITEM_OR_END:
		if (token == SF_TOKEN_CLOSE_ARRAY)
			return close_container(grammar);
		return take_value(grammar, token, error);
	default: /* EXPECT_MEMBER, EXPECT_ITEM */
		return take_value(grammar, token, error);
	}
}
