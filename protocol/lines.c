/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns a connection to somebody who answers in lines of JSON, and what was read of it and not used
 * yet. Every wait has a deadline, every line a limit. Called by client.c (agents) and by the
 * command's qmp.c (QEMU's monitor). */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/client.h"
#include "protocol/connect.h"
#include "protocol/lines.h"

#define CHUNK 65536

int64_t sf_deadline_after(unsigned int timeout_ms)
{
	return g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
}

bool sf_lines_open(SfLines *lines, const char *address, const char *peer,
		   const SfFrameLimits *limits, int64_t deadline_us, GError **error)
{
	bool is_socket;
	int fd = sf_connect(address, deadline_us, &is_socket, error);

	if (fd < 0)
		return false;
	*lines = (SfLines){
		.fd = fd,
		.is_socket = is_socket,
		.peer = peer,
		.limits = limits,
		.input = g_byte_array_new(),
	};
	return true;
}

void sf_lines_close(SfLines *lines)
{
	if (!lines->input)
		return;
	close(lines->fd);
	g_clear_pointer(&lines->input, g_byte_array_unref);
}

static bool throw_io(const SfLines *lines, GError **error, const char *what)
{
	g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT, "%s %s: %s", what, lines->peer,
		    g_strerror(errno));
	return false;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

bool sf_lines_write(SfLines *lines, const char *bytes, size_t len, int64_t deadline_us,
		    GError **error)
{
	while (len > 0) {
		ssize_t written = lines->is_socket ? send(lines->fd, bytes, len, MSG_NOSIGNAL)
						   : write(lines->fd, bytes, len);

		if (written > 0) {
			bytes += written;
			len -= (size_t)written;
			continue;
		}
		if (written < 0 && !would_block())
			return throw_io(lines, error, "write to");
		if (!sf_wait_fd(lines->fd, POLLOUT, lines->peer, deadline_us, error))
			return false;
	}
	return true;
}

bool sf_lines_read(SfLines *lines, int64_t deadline_us, GError **error)
{
	uint8_t chunk[CHUNK];
	ssize_t len;

	for (;;) {
		if (!sf_wait_fd(lines->fd, POLLIN, lines->peer, deadline_us, error))
			return false;
		len = read(lines->fd, chunk, sizeof chunk);
		if (len > 0)
			break;
		if (len == 0) {
			g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT,
				    "%s closed the connection", lines->peer);
			return false;
		}
		if (!would_block())
			return throw_io(lines, error, "read from");
	}
	g_byte_array_append(lines->input, chunk, (unsigned int)len);
	return true;
}

bool sf_lines_is_ready(const SfLines *lines)
{
	struct pollfd entry = {.fd = lines->fd, .events = POLLIN};

	return poll(&entry, 1, 0) > 0;
}

bool sf_lines_has_more(const SfLines *lines)
{
	struct pollfd entry = {.fd = lines->fd, .events = POLLIN};

	return poll(&entry, 1, 0) > 0 && (entry.revents & (POLLIN | POLLHUP)) == POLLIN;
}

void sf_lines_drop(SfLines *lines, size_t len)
{
	g_byte_array_remove_range(lines->input, 0, (unsigned int)len);
	lines->searched = 0;
}

const uint8_t *sf_lines_find_end(SfLines *lines)
{
	const GByteArray *input = lines->input;
	const uint8_t *end;

	if (input->len == lines->searched)
		return NULL;
	end = memchr(input->data + lines->searched, '\n', input->len - lines->searched);
	lines->searched = input->len;
	return end;
}

/* The JSON text of one line, or NULL: nothing else may stand in it, but 0xFF before. */
static char *parse_line(const SfFrameLimits *limits, const uint8_t *line, size_t len)
{
	g_autoptr(SfFrame) frame = sf_frame_new(limits);
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

JsonObject *sf_lines_parse(const SfFrameLimits *limits, const char *text, size_t len)
{
	g_autofree char *checked = parse_line(limits, (const uint8_t *)text, len);
	g_autoptr(JsonNode) root = checked ? json_from_string(checked, NULL) : NULL;

	return root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_dup_object(root) : NULL;
}

JsonObject *sf_lines_take(SfLines *lines, const uint8_t *end)
{
	size_t len = (size_t)(end - lines->input->data);
	JsonObject *object = sf_lines_parse(lines->limits, (const char *)lines->input->data, len);

	sf_lines_drop(lines, len + 1);
	return object;
}

JsonObject *sf_lines_next(SfLines *lines, int64_t deadline_us, GError **error)
{
	const uint8_t *end;
	JsonObject *object;

	while (!(end = sf_lines_find_end(lines))) {
		if (lines->input->len >= lines->limits->max_bytes) {
			g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL,
				    "the reply of %s is too long", lines->peer);
			return NULL;
		}
		if (!sf_lines_read(lines, deadline_us, error))
			return NULL;
	}
	object = sf_lines_take(lines, end);
	if (!object)
		g_set_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_PROTOCOL,
			    "the reply of %s is not a JSON object", lines->peer);
	return object;
}
