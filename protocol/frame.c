/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns what a channel has half read: the lexer, the grammar and the limits of one message. A
 * message that is refused is answered for once and at once; the rest of it goes unread until its
 * braces balance. Called by the agent's channels, one frame each, and by the client. */
#include "config.h"

#include <string.h>

#include "protocol/error.h"
#include "protocol/frame.h"
#include "protocol/grammar.h"
#include "protocol/lexer.h"

const SfFrameLimits sf_frame_default_limits = {
	.max_bytes = 16 * 1024 * 1024,
	.max_tokens = 2 * 1024 * 1024,
	.max_depth = 1024,
};

typedef enum {
	MODE_BETWEEN,   /* no byte of a message was read */
	MODE_READING,   /* a message that is valid so far */
	MODE_SKIPPING,  /* one that was refused, its braces open */
	MODE_LINE,      /* a string was broken off by a control character; nothing came since */
	MODE_LINE_REST, /* the same, and something came that does not begin a message */
} Mode;

struct SfFrame {
	SfFrameLimits limits;
	SfLexer lexer;
	SfGrammar grammar;
	Mode mode;
	size_t bytes, tokens; /* of this message */
	SfToken outermost;    /* the bracket that opened it, or SF_TOKEN_NONE */
	int64_t braces, brackets;
};

SfFrame *sf_frame_new(const SfFrameLimits *limits)
{
	SfFrame *frame = g_new0(SfFrame, 1);

	frame->limits = *limits;
	return frame;
}

void sf_frame_free(SfFrame *frame)
{
	if (!frame)
		return;
	sf_frame_reset(frame);
	g_free(frame);
}

void sf_frame_reset(SfFrame *frame)
{
	SfFrameLimits limits = frame->limits;

	sf_lexer_clear(&frame->lexer);
	sf_grammar_clear(&frame->grammar);
	*frame = (SfFrame){.limits = limits};
}

bool sf_frame_is_half_read(const SfFrame *frame)
{
	return frame->mode != MODE_BETWEEN && frame->mode != MODE_LINE;
}

static void count_bracket(SfFrame *frame, SfToken token)
{
	if (token == SF_TOKEN_OPEN_OBJECT)
		frame->braces++;
	else if (token == SF_TOKEN_CLOSE_OBJECT)
		frame->braces--;
	else if (token == SF_TOKEN_OPEN_ARRAY)
		frame->brackets++;
	else if (token == SF_TOKEN_CLOSE_ARRAY)
		frame->brackets--;

	if (frame->outermost == SF_TOKEN_NONE)
		frame->outermost = token;
}

/* Whether a refused message has ended. Brackets that do not pair count for the end rather than for
 * more: a host that waits for its next answer is worse off than one that is told of two errors. */
static bool is_balanced(const SfFrame *frame)
{
	if (frame->braces < 0 || frame->brackets < 0)
		return true;
	if (frame->outermost == SF_TOKEN_OPEN_OBJECT)
		return frame->braces == 0;
	if (frame->outermost == SF_TOKEN_OPEN_ARRAY)
		return frame->brackets == 0;
	return frame->lexer.state == SF_LEXER_BETWEEN;
}

static SfFrameEvent refuse(SfFrame *frame)
{
	sf_lexer_discard(&frame->lexer);
	sf_grammar_clear(&frame->grammar);
	frame->mode = MODE_SKIPPING;
	if (is_balanced(frame))
		sf_frame_reset(frame);
	return SF_FRAME_ERROR;
}

/* A string that a line's end broke off: nobody knows what its quotes pair with. Where the next line
 * begins with a brace it is a new message, as it is for qemu-ga; otherwise the next bracket or
 * comma is taken as one of the old message. */
static SfFrameEvent break_off(SfFrame *frame, GError **error)
{
	bool was_read = frame->mode == MODE_READING;

	if (was_read)
		(void)sf_throw(error, "JSON parse error, %s", frame->lexer.problem);
	sf_lexer_clear(&frame->lexer);
	sf_grammar_clear(&frame->grammar);
	frame->mode = MODE_LINE;
	return was_read ? SF_FRAME_ERROR : SF_FRAME_MORE;
}

static bool check_token(SfFrame *frame, SfToken token, GError **error)
{
	const SfLexer *lexer = &frame->lexer;

	if (++frame->tokens > frame->limits.max_tokens)
		return sf_throw(error, "JSON token count limit exceeded");
	if (frame->braces + frame->brackets > frame->limits.max_depth)
		return sf_throw(error, "JSON nesting depth limit exceeded");
	if (lexer->problem)
		return sf_throw(error, "JSON parse error, %s", lexer->problem);
	return sf_grammar_take(&frame->grammar, token, lexer->text->str + lexer->start,
			       lexer->text->len - lexer->start, error);
}

static SfFrameEvent take_token(SfFrame *frame, SfToken token, char **out_text, GError **error)
{
	if (token == SF_TOKEN_NONE)
		return SF_FRAME_MORE;
	if (token == SF_TOKEN_RESET) {
		sf_frame_reset(frame);
		return SF_FRAME_RESET;
	}
	if (token == SF_TOKEN_BROKEN)
		return break_off(frame, error);

	count_bracket(frame, token);
	if (frame->mode == MODE_SKIPPING) {
		if (is_balanced(frame))
			sf_frame_reset(frame);
		return SF_FRAME_MORE;
	}
	if (!check_token(frame, token, error))
		return refuse(frame);
	if (!frame->grammar.is_done)
		return SF_FRAME_MORE;
	*out_text = g_string_free(g_steal_pointer(&frame->lexer.text), FALSE);
	sf_frame_reset(frame);
	return SF_FRAME_MESSAGE;
}

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* One byte outside of a message. Returns: whether it was used up; where not, the lexer has it */
static bool take_between(SfFrame *frame, uint8_t byte)
{
	if (frame->mode == MODE_LINE_REST && byte < 0x20 && byte != '\t') {
		frame->mode = MODE_LINE;
		return true;
	}
	if (frame->mode == MODE_LINE_REST) {
		if (byte == 0 || !strchr("{}[]:,", byte))
			return true;
		frame->mode = MODE_SKIPPING;
		if (frame->outermost == SF_TOKEN_NONE)
			sf_frame_reset(frame);
		return false;
	}
	if (is_blank(byte))
		return true;
	if (frame->mode == MODE_LINE && byte != '{') {
		frame->mode = MODE_LINE_REST;
		return false;
	}
	sf_frame_reset(frame);
	sf_lexer_begin(&frame->lexer);
	frame->mode = MODE_READING;
	return false;
}

/* Returns: false where no byte is left */
static bool skip_between(SfFrame *frame, const uint8_t **data, size_t *len)
{
	while (*len > 0 && frame->mode != MODE_READING && frame->mode != MODE_SKIPPING) {
		if (**data == 0xFF)
			return true;
		if (take_between(frame, **data)) {
			(*data)++;
			(*len)--;
		}
	}
	return *len > 0;
}

SfFrameEvent sf_frame_next(SfFrame *frame, const uint8_t **data, size_t *len, char **out_text,
			   GError **error)
{
	while (skip_between(frame, data, len)) {
		size_t room = *len;
		size_t left;
		SfToken token;
		SfFrameEvent event;

		if (frame->mode == MODE_READING)
			room = MIN(room, frame->limits.max_bytes - frame->bytes);
		if (room == 0 && **data != 0xFF) {
			(void)sf_throw(error, "JSON token size limit exceeded");
			return refuse(frame);
		}

		left = room = MAX(room, 1);
		token = sf_lexer_next(&frame->lexer, data, &left);
		*len -= room - left;
		frame->bytes += room - left;
		event = take_token(frame, token, out_text, error);
		if (event != SF_FRAME_MORE)
			return event;
	}
	return SF_FRAME_MORE;
}
