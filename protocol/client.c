/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns one connection to an agent, and whether it is in step: whether the next line that comes is
 * the answer to the next command. A late reply taken for another command's could call a freeze a
 * success, so a connection out of step answers nothing until it is synced. The guest is not
 * trusted: its replies go through the same checks as requests do. Called by the `snapfreeze`
 * command. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/client.h"
#include "protocol/connect.h"
#include "protocol/frame.h"
#include "protocol/message.h"

#define REPLY_MAX (64 * 1024 * 1024)
/* The reply to guest-sync-delimited; what is longer is none. */
#define SYNC_REPLY_MAX 4096
#define CHUNK 65536

static const SfFrameLimits reply_limits = {
	.max_bytes = REPLY_MAX,
	.max_tokens = 8 * 1024 * 1024,
	.max_depth = 1024,
};

struct SfClient {
	int fd;
	bool is_socket;
	bool is_out_of_step;
	GByteArray *input; /* read and not yet used */
	size_t searched;   /* how many bytes of it are known to hold no end of line */
};

GQuark sf_client_error_quark(void)
{
	return g_quark_from_static_string("sf-client-error-quark");
}

static int64_t deadline_after(unsigned int timeout_ms)
{
	return g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
}

static bool throw_client(GError **error, SfClientErrorCode code, const char *message)
{
	g_set_error_literal(error, SF_CLIENT_ERROR, code, message);
	return false;
}

static bool throw_io(GError **error, const char *what)
{
	g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT, "%s: %s", what,
		    g_strerror(errno));
	return false;
}

SfClient *sf_client_connect(const char *address, unsigned int timeout_ms, GError **error)
{
	SfClient *client;
	bool is_socket;
	int fd = sf_connect(address, deadline_after(timeout_ms), &is_socket, error);

	if (fd < 0)
		return NULL;
	client = g_new0(SfClient, 1);
	client->fd = fd;
	client->is_socket = is_socket;
	client->input = g_byte_array_new();
	return client;
}

void sf_client_free(SfClient *client)
{
	if (!client)
		return;
	close(client->fd);
	g_byte_array_unref(client->input);
	g_free(client);
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static bool write_all(SfClient *client, const char *bytes, size_t len, int64_t deadline_us,
		      GError **error)
{
	while (len > 0) {
		ssize_t written = client->is_socket ? send(client->fd, bytes, len, MSG_NOSIGNAL)
						    : write(client->fd, bytes, len);

		if (written > 0) {
			bytes += written;
			len -= (size_t)written;
			continue;
		}
		if (written < 0 && !would_block())
			return throw_io(error, "write to the agent");
		if (!sf_wait_fd(client->fd, POLLOUT, deadline_us, error))
			return false;
	}
	return true;
}

/* Reads what there is, at least a byte. */
static bool read_more(SfClient *client, int64_t deadline_us, GError **error)
{
	uint8_t chunk[CHUNK];
	ssize_t len;

	for (;;) {
		if (!sf_wait_fd(client->fd, POLLIN, deadline_us, error))
			return false;
		len = read(client->fd, chunk, sizeof chunk);
		if (len > 0)
			break;
		if (len == 0)
			return throw_client(error, SF_CLIENT_ERROR_CONNECT,
					    "the agent closed the connection");
		if (!would_block())
			return throw_io(error, "read from the agent");
	}
	g_byte_array_append(client->input, chunk, (unsigned int)len);
	return true;
}

static void drop_input(SfClient *client, size_t len)
{
	g_byte_array_remove_range(client->input, 0, (unsigned int)len);
	client->searched = 0;
}

/* Returns: (nullable): where the line ends within what was read */
static const uint8_t *find_line_end(SfClient *client)
{
	const uint8_t *data = client->input->data;
	const uint8_t *end;

	if (client->input->len == client->searched)
		return NULL;
	end = memchr(data + client->searched, '\n', client->input->len - client->searched);
	client->searched = client->input->len;
	return end;
}

/* The JSON text of one line, or NULL: nothing else may stand in it, but 0xFF before. */
static char *parse_line(const uint8_t *line, size_t len)
{
	g_autoptr(SfFrame) frame = sf_frame_new(&reply_limits);
	g_autofree char *text = NULL;
	SfFrameEvent event;

	do
		event = sf_frame_next(frame, &line, &len, &text, NULL);
	while (event == SF_FRAME_RESET);
	if (event != SF_FRAME_MESSAGE)
		return NULL;
	while (len > 0 && g_ascii_isspace(*line)) {
		line++;
		len--;
	}
	return len == 0 ? g_steal_pointer(&text) : NULL;
}

/* Returns: (transfer full) (nullable): the next line as an object; the line is used up */
static JsonObject *take_reply(SfClient *client, const uint8_t *end)
{
	size_t len = (size_t)(end - client->input->data);
	g_autofree char *text = parse_line(client->input->data, len);
	g_autoptr(JsonNode) root = text ? json_from_string(text, NULL) : NULL;

	drop_input(client, len + 1);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root))
		return NULL;
	return json_node_dup_object(root);
}

static bool is_sync_reply(JsonObject *reply, int64_t id)
{
	JsonNode *result = json_object_get_member(reply, "return");

	return result && json_node_get_value_type(result) == G_TYPE_INT64 &&
	       json_node_get_int(result) == id;
}

/* Whether the answer to guest-sync-delimited has come. What cannot become one is dropped, so that
 * garbage without end takes time and no memory. */
static bool find_sync_reply(SfClient *client, int64_t id)
{
	for (;;) {
		const GByteArray *input = client->input;
		const uint8_t *mark = input->len > 0 ? memchr(input->data, 0xFF, input->len) : NULL;
		const uint8_t *end;

		drop_input(client, mark ? (size_t)(mark - input->data) : input->len);
		end = find_line_end(client);
		if (end) {
			g_autoptr(JsonObject) reply = take_reply(client, end);
			if (reply && is_sync_reply(reply, id))
				return true;
			continue;
		}
		if (input->len <= SYNC_REPLY_MAX)
			return false;
		drop_input(client, 1);
	}
}

bool sf_client_sync(SfClient *client, unsigned int timeout_ms, GError **error)
{
	int64_t deadline_us = deadline_after(timeout_ms);
	/* Not the id of somebody whose answer is still on its way. */
	int64_t id = (int64_t)g_random_int() << 20 | (g_get_real_time() & 0xFFFFF);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autofree char *request = NULL;

	json_object_set_int_member(arguments, "id", id);
	request = sf_request_write("guest-sync-delimited", arguments);

	client->is_out_of_step = true;
	drop_input(client, client->input->len);
	if (!write_all(client, "\xFF", 1, deadline_us, error) ||
	    !write_all(client, request, strlen(request), deadline_us, error))
		return false;
	while (!find_sync_reply(client, id)) {
		if (!read_more(client, deadline_us, error))
			return false;
	}
	client->is_out_of_step = false;
	return true;
}

/* Returns: (transfer full) (nullable): the next line as an object, whatever it says */
static JsonObject *read_reply(SfClient *client, int64_t deadline_us, GError **error)
{
	const uint8_t *end;
	JsonObject *reply;

	while (!(end = find_line_end(client))) {
		if (client->input->len >= REPLY_MAX) {
			throw_client(error, SF_CLIENT_ERROR_PROTOCOL, "the reply is too long");
			return NULL;
		}
		if (!read_more(client, deadline_us, error))
			return NULL;
	}
	reply = take_reply(client, end);
	if (!reply)
		throw_client(error, SF_CLIENT_ERROR_PROTOCOL, "the reply is not a JSON object");
	return reply;
}

static const char *get_text(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
								       : NULL;
}

/* The guest's words go to somebody's terminal: nothing in them may steer it. */
static char *make_printable(const char *text)
{
	GString *out = g_string_new(NULL);

	for (; *text; text = g_utf8_next_char(text)) {
		gunichar code = g_utf8_get_char(text);
		g_string_append_unichar(out, g_unichar_iscntrl(code) ? '?' : code);
	}
	return g_string_free(out, FALSE);
}

/* An error reply is in step: the next line belongs to the next command. */
static bool refuse(JsonNode *node, GError **error)
{
	JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
	const char *class = object ? get_text(object, "class") : NULL;
	const char *desc = object ? get_text(object, "desc") : NULL;
	g_autofree char *message = NULL;
	g_autofree char *printable = NULL;

	if (!class || !desc)
		return throw_client(error, SF_CLIENT_ERROR_PROTOCOL,
				    "the reply's error has no class or no description");
	message = g_strdup_printf("%s: %s", class, desc);
	printable = make_printable(message);
	throw_client(error, SF_CLIENT_ERROR_REFUSED, printable);
	return true;
}

static JsonNode *call(SfClient *client, const char *request, int64_t deadline_us, GError **error)
{
	g_autoptr(JsonObject) reply = NULL;
	JsonNode *result;

	if (!write_all(client, request, strlen(request), deadline_us, error))
		return NULL;
	reply = read_reply(client, deadline_us, error);
	if (!reply)
		return NULL;

	result = json_object_get_member(reply, "return");
	if (result) {
		client->is_out_of_step = false;
		return json_node_ref(result);
	}
	if (json_object_has_member(reply, "error"))
		client->is_out_of_step = !refuse(json_object_get_member(reply, "error"), error);
	else
		throw_client(error, SF_CLIENT_ERROR_PROTOCOL,
			     "the reply has neither a return nor an error");
	return NULL;
}

/* What is there before a command was sent cannot be its answer. A closed connection is not meant:
 * writing to it tells that better. */
static bool has_unasked(SfClient *client)
{
	struct pollfd entry = {.fd = client->fd, .events = POLLIN};

	return client->input->len > 0 ||
	       (poll(&entry, 1, 0) > 0 && (entry.revents & (POLLIN | POLLHUP)) == POLLIN);
}

JsonNode *sf_client_call(SfClient *client, const char *command, JsonObject *arguments,
			 unsigned int timeout_ms, GError **error)
{
	g_autofree char *request = sf_request_write(command, arguments);

	if (client->is_out_of_step || has_unasked(client)) {
		client->is_out_of_step = true;
		throw_client(error, SF_CLIENT_ERROR_PROTOCOL,
			     "the connection is out of step and must be synced");
		return NULL;
	}
	client->is_out_of_step = true;
	return call(client, request, deadline_after(timeout_ms), error);
}
