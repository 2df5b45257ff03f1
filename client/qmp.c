/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns one connection to QEMU's monitor: the greeting, which answer belongs to which command, and
 * the events that come between. Answers are told apart by ids, so that one that comes too late is
 * passed over and never taken for another's. Called by host-qemu.c. */
#include "config.h"

#include <string.h>

#include "client/qmp.h"
#include "client/reply.h"
#include "protocol/client.h"
#include "protocol/error.h"
#include "protocol/lines.h"
#include "protocol/message.h"

/* What QEMU says of its disks grows with their number, some kilobytes each. */
static const SfFrameLimits reply_limits = {
	.max_bytes = 16 * 1024 * 1024,
	.max_tokens = 2 * 1024 * 1024,
	.max_depth = 256,
};

struct SfQmp {
	SfLines lines;
	int64_t id;       /* of the last command */
	char *command;    /* (nullable): the one that has no answer yet */
	uint64_t n_taken; /* messages, ever */
	SfQmpListener listener;
	gpointer user_data;
};

static bool throw_protocol(GError **error, const char *message)
{
	g_set_error_literal(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL, message);
	return false;
}

/* A second client of a monitor is not refused: QEMU just does not speak to it. */
static bool read_greeting(SfQmp *qmp, int64_t deadline_us, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(JsonObject) greeting = sf_lines_next(&qmp->lines, deadline_us, &problem);

	if (greeting && sf_reply_object(greeting, "QMP"))
		return true;
	if (greeting)
		return throw_protocol(error, "QEMU's monitor does not greet as one: is that the "
					     "socket of -qmp?");
	if (g_error_matches(problem, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT))
		g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT,
			    "QEMU's monitor does not greet: it serves one client at a time, and "
			    "another one (libvirt?) may be connected");
	else
		g_propagate_error(error, g_steal_pointer(&problem));
	return false;
}

SfQmp *sf_qmp_connect(const char *path, unsigned int timeout_ms, GError **error)
{
	g_autoptr(SfQmp) qmp = g_new0(SfQmp, 1);
	int64_t deadline_us = sf_deadline_after(timeout_ms);

	if (!sf_lines_open(&qmp->lines, path, "QEMU's monitor", &reply_limits, deadline_us,
			   error) ||
	    !read_greeting(qmp, deadline_us, error) ||
	    !sf_qmp_do(qmp, "qmp_capabilities", NULL, timeout_ms, error))
		return NULL;
	return g_steal_pointer(&qmp);
}

void sf_qmp_free(SfQmp *qmp)
{
	if (!qmp)
		return;
	sf_lines_close(&qmp->lines);
	g_free(qmp->command);
	g_free(qmp);
}

void sf_qmp_listen(SfQmp *qmp, SfQmpListener listener, gpointer user_data)
{
	qmp->listener = listener;
	qmp->user_data = user_data;
}

int sf_qmp_fd(const SfQmp *qmp)
{
	return qmp->lines.fd;
}

static char *write_request(const char *command, JsonObject *arguments, int64_t id)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *request = json_object_new();
	GString *text = g_string_new(NULL);

	json_object_set_string_member(request, "execute", command);
	if (arguments)
		json_object_set_object_member(request, "arguments", arguments);
	json_object_set_int_member(request, "id", id);
	json_node_take_object(node, request);
	sf_json_write(text, node);
	g_string_append_c(text, '\n');
	return g_string_free(text, FALSE);
}

bool sf_qmp_send(SfQmp *qmp, const char *command, JsonObject *arguments, unsigned int timeout_ms,
		 GError **error)
{
	g_autofree char *request = write_request(command, arguments, ++qmp->id);

	g_free(qmp->command);
	qmp->command = g_strdup(command);
	return sf_lines_write(&qmp->lines, request, strlen(request), sf_deadline_after(timeout_ms),
			      error);
}

static bool refuse(const SfQmp *qmp, JsonObject *reply, GError **error)
{
	const char *desc = sf_reply_string(sf_reply_object(reply, "error"), "desc");

	return sf_throw(error, "QEMU refused %s: %s", qmp->command,
			desc ? desc : "no reason given");
}

/* One message that is none of QEMU's own accord. An error without an id is its complaint about a
 * request that it could not read. */
static bool take_answer(SfQmp *qmp, JsonObject *reply, JsonNode **out_reply, GError **error)
{
	JsonNode *result = json_object_get_member(reply, "return");
	int64_t id;

	if (!qmp->command || (sf_reply_integer(reply, "id", &id) && id != qmp->id))
		return true;
	if (result)
		*out_reply = json_node_ref(result);
	else if (sf_reply_object(reply, "error"))
		return refuse(qmp, reply, error);
	else
		return throw_protocol(error, "QEMU's monitor sent what is no answer");
	return true;
}

/* Takes the lines that have been read. */
static bool take_lines(SfQmp *qmp, JsonNode **out_reply, GError **error)
{
	const uint8_t *end;

	while (!*out_reply && (end = sf_lines_find_end(&qmp->lines))) {
		g_autoptr(JsonObject) message = sf_lines_take(&qmp->lines, end);
		const char *event = sf_reply_string(message, "event");

		qmp->n_taken++;
		if (!message)
			return throw_protocol(error, "QEMU's monitor sent what is not JSON");
		if (event && qmp->listener)
			qmp->listener(event, sf_reply_object(message, "data"), qmp->user_data);
		if (!event && !take_answer(qmp, message, out_reply, error))
			return false;
	}
	if (qmp->lines.input->len >= reply_limits.max_bytes)
		return throw_protocol(error, "an answer of QEMU's monitor is too long");
	if (*out_reply)
		g_clear_pointer(&qmp->command, g_free);
	return true;
}

bool sf_qmp_take(SfQmp *qmp, JsonNode **out_reply, GError **error)
{
	*out_reply = NULL;
	if (!take_lines(qmp, out_reply, error))
		return false;
	if (*out_reply || !sf_lines_is_ready(&qmp->lines))
		return true;
	return sf_lines_read(&qmp->lines, sf_deadline_after(1000), error) &&
	       take_lines(qmp, out_reply, error);
}

bool sf_qmp_wait(SfQmp *qmp, int64_t deadline_us, GError **error)
{
	g_autoptr(JsonNode) late = NULL;
	uint64_t n_taken = qmp->n_taken;

	/* What came in one piece with the last answer is still to be taken. */
	if (!take_lines(qmp, &late, error))
		return false;
	return n_taken != qmp->n_taken ||
	       (sf_lines_read(&qmp->lines, deadline_us, error) && take_lines(qmp, &late, error));
}

JsonNode *sf_qmp_call(SfQmp *qmp, const char *command, JsonObject *arguments,
		      unsigned int timeout_ms, GError **error)
{
	int64_t deadline_us = sf_deadline_after(timeout_ms);
	JsonNode *reply = NULL;

	if (!sf_qmp_send(qmp, command, arguments, timeout_ms, error))
		return NULL;
	for (;;) {
		if (!take_lines(qmp, &reply, error) || reply)
			return reply;
		if (!sf_lines_read(&qmp->lines, deadline_us, error))
			return NULL;
	}
}

bool sf_qmp_do(SfQmp *qmp, const char *command, JsonObject *arguments, unsigned int timeout_ms,
	       GError **error)
{
	g_autoptr(JsonNode) reply = sf_qmp_call(qmp, command, arguments, timeout_ms, error);

	return reply != NULL;
}
