/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes between one descriptor and one channel. Owns the descriptor, an epoll descriptor around it,
 * and what was read but not yet taken. Invariant: may_read and may_write are true from an edge
 * until a call says "would block"; as long as one of them is true and the channel wants it, a turn
 * is scheduled. Without an edge it never wakes. Called by port and listener.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/stream.h"
#include "protocol/error.h"

#define CHUNK_BYTES 16384
/* How much one stream may do before the others, and the freezer, have their turn. */
#define ROUNDS_PER_TURN 8
#define TURN_US (20 * 1000)
/* By how much the kernel's word that a virtio port is open may come after the first data. */
#define REOPEN_RACE_US (200 * 1000)

struct SfStream {
	int fd, epoll_fd;
	SfStreamKind kind;
	SfChannel *channel;
	SfStreamEnded ended;
	gpointer user_data;
	GSource *source;
	bool may_read, may_write;
	struct {
		bool is_closed;  /* the host has closed its side, by all that was seen */
		bool is_drained; /* and what it sent before is read */
		bool has_news;   /* and more came since: the host has opened it again, which was not
				    seen yet */
		gint64 closed_us; /* when that was seen */
	} virtio;
	bool is_stopped;   /* nobody wants to read any more */
	bool saw_end;      /* a socket's peer has sent its last */
	bool is_broken;    /* nothing can be written any more */
	char *lost_reason; /* (nullable): a device is gone */
	uint8_t chunk[CHUNK_BYTES];
	size_t chunk_start, chunk_end;
};

static void lose(SfStream *stream, const char *reason)
{
	if (!stream->lost_reason)
		stream->lost_reason = g_strdup(reason);
	stream->may_read = stream->may_write = false;
	stream->saw_end = stream->is_broken = true;
	sf_channel_drop_peer(stream->channel);
}

static void note_closed(SfStream *stream)
{
	if (stream->virtio.is_closed)
		return;
	stream->virtio.is_closed = true;
	stream->virtio.is_drained = stream->virtio.has_news = false;
	stream->virtio.closed_us = g_get_monotonic_time();
}

/* A new host is there: replies to what came from the one before are not for it. But the kernel
 * tells of a closed and an open port by another queue than the data's, and later; where both come
 * close together nobody can say whose the last requests were, and a reply too many, which a host's
 * guest-sync skips, does less harm than one too few. */
static void greet_new_host(SfStream *stream)
{
	if (g_get_monotonic_time() - stream->virtio.closed_us > REOPEN_RACE_US)
		sf_channel_drop_peer(stream->channel);
}

static void note_open(SfStream *stream)
{
	if (!stream->virtio.is_closed)
		return;
	stream->virtio.is_closed = false;
	if (!stream->virtio.has_news)
		greet_new_host(stream);
}

/* Something came though the port counts as closed, and what came before was read. */
static void note_news(SfStream *stream)
{
	if (!stream->virtio.is_closed || !stream->virtio.is_drained || stream->virtio.has_news)
		return;
	stream->virtio.has_news = true;
	greet_new_host(stream);
}

/* A read gave nothing: the host's side is closed, and what it sent before is read. */
static void note_drained(SfStream *stream)
{
	note_closed(stream);
	if (!stream->virtio.is_drained)
		sf_channel_reset_input(stream->channel);
	stream->virtio.is_drained = true;
}

/* A read gave nothing. */
static void take_end(SfStream *stream)
{
	stream->may_read = false;
	switch (stream->kind) {
	case SF_STREAM_SOCKET:
		stream->saw_end = true;
		break;
	case SF_STREAM_VIRTIO:
		note_drained(stream);
		break;
	case SF_STREAM_TTY:
		lose(stream, "the device was hung up");
		break;
	}
}

/* A socket's peer that went away is ordinary, a device that did is lost. */
static void take_failure(SfStream *stream, int reason)
{
	if (stream->kind != SF_STREAM_SOCKET) {
		lose(stream, g_strerror(reason));
		return;
	}
	stream->may_read = stream->may_write = false;
	stream->saw_end = stream->is_broken = true;
	sf_channel_drop_peer(stream->channel);
}

static bool read_chunk(SfStream *stream)
{
	ssize_t len = read(stream->fd, stream->chunk, sizeof(stream->chunk));

	if (len > 0) {
		stream->chunk_start = 0;
		stream->chunk_end = len;
		note_news(stream);
		return true;
	}
	if (len < 0 && errno == EINTR)
		return true;
	if (len == 0)
		take_end(stream);
	else if (errno == EAGAIN)
		stream->may_read = false;
	else
		take_failure(stream, errno);
	return false;
}

/* Gives the channel some input. False: there is none, or it wants none. */
static bool fill(SfStream *stream)
{
	if (stream->is_stopped || !sf_channel_wants_input(stream->channel))
		return false;
	if (stream->chunk_start == stream->chunk_end) {
		if (!stream->may_read || stream->saw_end || !read_chunk(stream))
			return false;
	}
	stream->chunk_start += sf_channel_feed(stream->channel, stream->chunk + stream->chunk_start,
					       stream->chunk_end - stream->chunk_start);
	return true;
}

static ssize_t write_some(SfStream *stream, const uint8_t *data, size_t len)
{
	if (stream->kind == SF_STREAM_SOCKET)
		return send(stream->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(stream->fd, data, len);
}

/* Writes some output. False: there is none, or nobody takes it. */
static bool drain(SfStream *stream)
{
	size_t len = 0;
	const uint8_t *data = sf_channel_output(stream->channel, &len);
	ssize_t written;

	if (!data)
		return false;
	if (stream->is_broken) {
		sf_channel_drop_peer(stream->channel);
		return false;
	}
	/* To a closed port the kernel takes nothing; where the next host has spoken, it is open. */
	if (!stream->may_write || (stream->virtio.is_closed && !stream->virtio.has_news))
		return false;
	written = write_some(stream, data, len);
	if (written > 0) {
		sf_channel_output_written(stream->channel, written);
		return true;
	}
	if (written < 0 && errno == EINTR)
		return true;
	if (written == 0 || errno == EAGAIN)
		stream->may_write = false;
	else
		take_failure(stream, errno);
	return false;
}

static bool is_over(const SfStream *stream)
{
	if (stream->lost_reason)
		return true;
	return stream->saw_end && stream->chunk_start == stream->chunk_end &&
	       sf_channel_is_idle(stream->channel);
}

/* Does what can be done now; whatever is left over for reasons of fairness gets another turn. The
 * last thing it does may free the stream. */
static void take_turn(SfStream *stream)
{
	gint64 until_us = g_get_monotonic_time() + TURN_US;
	bool did_something = true;

	for (int i = 0; i < ROUNDS_PER_TURN && did_something; i++) {
		did_something = drain(stream);
		did_something |= fill(stream);
		did_something |= drain(stream);
		if (g_get_monotonic_time() >= until_us)
			break;
	}
	if (is_over(stream)) {
		g_source_set_ready_time(stream->source, -1);
		stream->ended(stream->lost_reason, stream->user_data);
		return;
	}
	if (did_something)
		g_source_set_ready_time(stream->source, 0);
}

static void take_events(SfStream *stream)
{
	struct epoll_event event;

	if (epoll_wait(stream->epoll_fd, &event, 1, 0) != 1)
		return;
	/* A hang-up or error is asked for by reading and writing: they know which. */
	if (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		stream->may_read = true;
	if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		stream->may_write = true;
	if (stream->kind != SF_STREAM_VIRTIO)
		return;
	if (event.events & EPOLLHUP)
		note_closed(stream);
	else
		note_open(stream);
}

static gboolean on_ready(gpointer user_data)
{
	SfStream *stream = user_data;

	g_source_set_ready_time(stream->source, -1);
	take_events(stream);
	take_turn(stream);
	return G_SOURCE_CONTINUE;
}

static void on_wake(gpointer user_data)
{
	take_turn(user_data);
}

static gboolean dispatch_source(GSource *source, GSourceFunc callback, gpointer user_data)
{
	return callback(user_data);
}

static GSource *stream_source_new(SfStream *stream)
{
	static GSourceFuncs functions = {.dispatch = dispatch_source};
	GSource *source = g_source_new(&functions, sizeof(GSource));

	g_source_add_unix_fd(source, stream->epoll_fd, G_IO_IN);
	g_source_set_callback(source, on_ready, stream, NULL);
	g_source_attach(source, NULL);
	return source;
}

SfStream *sf_stream_new(int fd, SfStreamKind kind, SfChannel *channel, SfStreamEnded ended,
			gpointer user_data, GError **error)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	SfStream *stream = g_new0(SfStream, 1);

	stream->fd = fd;
	stream->kind = kind;
	stream->channel = channel;
	stream->ended = ended;
	stream->user_data = user_data;
	stream->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (stream->epoll_fd < 0 || epoll_ctl(stream->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		sf_throw_errno(error, "epoll");
		sf_stream_free(stream);
		return NULL;
	}
	stream->source = stream_source_new(stream);
	sf_channel_set_wake(channel, on_wake, stream);
	return stream;
}

void sf_stream_free(SfStream *stream)
{
	if (!stream)
		return;
	if (stream->source) {
		sf_channel_set_wake(stream->channel, NULL, NULL);
		g_source_destroy(stream->source);
		g_source_unref(stream->source);
	}
	if (stream->epoll_fd >= 0)
		close(stream->epoll_fd);
	close(stream->fd);
	g_free(stream->lost_reason);
	g_free(stream);
}

void sf_stream_stop_reading(SfStream *stream)
{
	stream->is_stopped = true;
}

int sf_stream_flush(SfStream *stream)
{
	struct pollfd poller = {.fd = stream->fd, .events = POLLOUT};
	size_t len;

	/* The edge may be in the epoll descriptor, unread. */
	stream->may_write = poll(&poller, 1, 0) == 1 && poller.revents == POLLOUT;
	while (drain(stream))
		continue;
	if (stream->is_broken || poller.revents & (POLLHUP | POLLERR))
		return -1;
	return sf_channel_output(stream->channel, &len) ? stream->fd : -1;
}
