/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "protocol/lexer.h"

/* Members of one object. No command has a tenth of it, and it bounds what keys that were chosen to
 * collide in a hash table can cost, here and in json-glib. */
#define SF_GRAMMAR_MAX_MEMBERS 256

/**
 * SfGrammar: whether the tokens of one message, each in its turn, make a JSON value. Zeroed memory
 * is one that awaits a value.
 */
typedef struct {
	GByteArray *expects; /* (nullable): per open container what may come next */
	GPtrArray *keys;     /* (nullable): per open container (nullable) the set of its keys */
	bool is_done;        /* the value is complete */
} SfGrammar;

/* Awaits a value again; gives all memory back. */
void sf_grammar_clear(SfGrammar *grammar);

/**
 * sf_grammar_take:
 * @token: a bracket, mark, string or scalar
 * @text: a string in its one strict form (see SfLexer); looked at where it is a key
 * @error: domain %SF_ERROR, in the wire's words
 */
bool sf_grammar_take(SfGrammar *grammar, SfToken token, const char *text, size_t len,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;
