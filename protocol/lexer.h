/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the lexer finds. */
typedef enum {
	SF_TOKEN_NONE, /* all bytes are used up, no token is complete */
	SF_TOKEN_OPEN_OBJECT,
	SF_TOKEN_CLOSE_OBJECT,
	SF_TOKEN_OPEN_ARRAY,
	SF_TOKEN_CLOSE_ARRAY,
	SF_TOKEN_COLON,
	SF_TOKEN_COMMA,
	SF_TOKEN_STRING,
	SF_TOKEN_SCALAR, /* a number or a keyword, or what stands in the place of one */
	SF_TOKEN_RESET,  /* 0xFF */
	SF_TOKEN_BROKEN, /* a control character within a string: its end cannot be known */
} SfToken;

typedef enum {
	SF_LEXER_BETWEEN,
	SF_LEXER_WORD,
	SF_LEXER_STRING,
	SF_LEXER_ESCAPE,
	SF_LEXER_HEX,
	SF_LEXER_UTF8,
} SfLexerState;

/**
 * SfLexer: bytes in any pieces -> tokens. It also writes each token, in the one form that strict
 * JSON has for it, behind the others of the same message: strings in double quotes with as few
 * escapes as possible, integers of 64 bits as they are, every other number as a floating one.
 */
typedef struct {
	GString *text; /* (nullable): the message so far; %NULL where it is discarded */
	size_t start;  /* where in @text the last token begins */
	char *problem; /* (nullable): what is wrong with the last token, in words */
	SfLexerState state;
	char quote;
	uint8_t hex_digits;
	uint32_t code;           /* the code unit or code point that is half read */
	uint32_t high_surrogate; /* waits for its other half; 0: none does */
	uint8_t utf8_left, utf8_min, utf8_max;
} SfLexer;

/* Zeroed memory is a lexer that discards; this makes it begin a message. */
void sf_lexer_begin(SfLexer *lexer);
/* From here on only finds where tokens end, keeps and checks nothing: for the rest of a message
 * that was refused. A token that is half read goes on. */
void sf_lexer_discard(SfLexer *lexer);
void sf_lexer_clear(SfLexer *lexer);

/**
 * sf_lexer_next:
 * @data: (inout): advanced past the bytes used up
 * @len: (inout): how many are left
 *
 * Returns: the next token; where lexer->problem is set then, it is not a valid one
 */
SfToken sf_lexer_next(SfLexer *lexer, const uint8_t **data, size_t *len);
