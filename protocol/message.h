/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

/* One request, as it stood in a message. */
typedef struct {
	char *command;         /* "execute" */
	JsonObject *arguments; /* (nullable): "arguments", where there were some */
	JsonNode *id;          /* (nullable): "id", any JSON type, echoed in the reply */
} SfRequest;

void sf_request_free(SfRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfRequest, sf_request_free)

/**
 * sf_request_parse:
 * @text: a message as sf_frame_next() hands it out
 * @out_id: (out) (transfer full) (nullable): on failure the message's id, where it had one, for the
 * error reply
 * @error: domain %SF_ERROR, with the wire's text ("QMP input …")
 *
 * Returns: (transfer full) (nullable): the request
 */
SfRequest *sf_request_parse(const char *text, JsonNode **out_id,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * sf_json_write:
 * @out: where to append
 * @node: any JSON value
 *
 * Appends @node as QEMU writes it: one line, pure ASCII (others as \u escapes, surrogate pairs
 * beyond the basic plane), ", " and ": " as separators, floating numbers in 17 digits. Bytes that
 * are no UTF-8 become U+FFFD.
 */
void sf_json_write(GString *out, JsonNode *node);
/* The same for a string, with its quotes. */
void sf_json_write_string(GString *out, const char *string);

/* The reply line to a request, newline included: {"return": …} with @id (nullable) behind it.
 * @result (nullable): %NULL: an empty object. Takes nothing. */
char *sf_reply_return(JsonNode *result, JsonNode *id);
/* {"error": {"class": …, "desc": …}}, with @id (nullable) before it. A text of more
 * than 8192 bytes is cut. */
char *sf_reply_error(const GError *error, JsonNode *id);
/* The same for a result that is written already, as sf_json_write() writes it. */
char *sf_reply_return_text(const char *result, JsonNode *id);
/* {"execute": …, "arguments": …} (arguments nullable) and a newline: what a client sends. */
char *sf_request_write(const char *command, JsonObject *arguments);
