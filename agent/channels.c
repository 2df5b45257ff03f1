/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The set of channels. Owns the ports and the listeners. Called by agent.c.
 */
#include "config.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/channels.h"
#include "agent/listener.h"
#include "agent/port.h"
#include "agent/serial.h"
#include "agent/virtio.h"
#include "protocol/error.h"

/* Where systemd's descriptors begin (sd_listen_fds(3)), and how many are looked at. */
#define FIRST_INHERITED_FD 3
#define MAX_INHERITED_FDS 8192

struct SfChannels {
	SfDispatch *dispatch;
	GPtrArray *ports;     /* of SfPort */
	GPtrArray *listeners; /* of SfListener */
	unsigned int lost_ports;
	SfChannelsLost lost;
	gpointer user_data;
};

static void on_lost(gpointer user_data)
{
	SfChannels *channels = user_data;

	channels->lost_ports++;
	if (channels->lost_ports == channels->ports->len && channels->listeners->len == 0)
		channels->lost(channels->user_data);
}

static bool open_port(SfChannels *channels, const SfChannelConfig *config, bool retry,
		      GError **error)
{
	bool is_serial = config->method == SF_METHOD_ISA_SERIAL;
	SfPortSetup setup = {
		.name = config->name,
		.path = config->path,
		.open = is_serial ? sf_serial_open : sf_virtio_open,
		.kind = is_serial ? SF_STREAM_TTY : SF_STREAM_VIRTIO,
		.retry = retry,
	};
	SfPort *port = sf_port_new(&setup, channels->dispatch, on_lost, channels, error);

	if (!port)
		return false;
	g_ptr_array_add(channels->ports, port);
	return true;
}

static bool add_listener(SfChannels *channels, SfListener *listener)
{
	if (!listener)
		return false;
	g_ptr_array_add(channels->listeners, listener);
	return true;
}

static bool open_channel(SfChannels *channels, const SfChannelConfig *config, bool retry,
			 GError **error)
{
	if (!config->path)
		return sf_throw(error, "%s needs a path", sf_method_name(config->method));
	switch (config->method) {
	case SF_METHOD_VIRTIO_SERIAL:
	case SF_METHOD_ISA_SERIAL:
		return open_port(channels, config, retry, error);
	case SF_METHOD_UNIX_LISTEN:
		return add_listener(channels, sf_listener_new_unix(config->name, config->path,
								   channels->dispatch, error));
	case SF_METHOD_VSOCK_LISTEN:
		return add_listener(channels, sf_listener_new_vsock(config->name, config->path,
								    channels->dispatch, error));
	}
	return false;
}

static bool is_listening(int fd)
{
	int answer = 0;
	socklen_t len = sizeof(answer);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &answer, &len) == 0 && answer;
}

static unsigned int count_inherited(void)
{
	const char *pid = g_getenv("LISTEN_PID");
	const char *count = g_getenv("LISTEN_FDS");

	if (!pid || !count || g_ascii_strtoull(pid, NULL, 10) != (guint64)getpid())
		return 0;
	return MIN(g_ascii_strtoull(count, NULL, 10), MAX_INHERITED_FDS);
}

/* @out_fd: -1 where no socket was inherited. */
static bool find_inherited(int *out_fd, GError **error)
{
	unsigned int count = count_inherited();
	int found = -1;

	for (unsigned int i = 0; i < count; i++) {
		if (!is_listening(FIRST_INHERITED_FD + i))
			continue;
		if (found >= 0)
			return sf_throw(error, "more than one socket was inherited");
		found = FIRST_INHERITED_FD + i;
	}
	*out_fd = found;
	return true;
}

static bool open_main(SfChannels *channels, const SfConfig *config, GError **error)
{
	int fd = -1;

	if (!find_inherited(&fd, error))
		return false;
	if (fd < 0)
		return open_channel(channels, &config->main, config->retry_path, error);
	return add_listener(channels, sf_listener_new_from_fd(config->main.name, fd,
							      channels->dispatch, error));
}

static bool open_all(SfChannels *channels, const SfConfig *config, GError **error)
{
	if (!open_main(channels, config, error)) {
		g_prefix_error(error, "channel %s: ", config->main.name);
		return false;
	}
	for (unsigned int i = 0; i < config->channels->len; i++) {
		const SfChannelConfig *channel = config->channels->pdata[i];

		if (!open_channel(channels, channel, config->retry_path, error)) {
			g_prefix_error(error, "channel %s: ", channel->name);
			return false;
		}
	}
	return true;
}

SfChannels *sf_channels_open(const SfConfig *config, SfDispatch *dispatch, SfChannelsLost lost,
			     gpointer user_data, GError **error)
{
	g_autoptr(SfChannels) channels = g_new0(SfChannels, 1);

	channels->dispatch = dispatch;
	channels->ports = g_ptr_array_new_with_free_func((GDestroyNotify)sf_port_free);
	channels->listeners = g_ptr_array_new_with_free_func((GDestroyNotify)sf_listener_free);
	channels->lost = lost;
	channels->user_data = user_data;
	return open_all(channels, config, error) ? g_steal_pointer(&channels) : NULL;
}

void sf_channels_free(SfChannels *channels)
{
	if (!channels)
		return;
	g_ptr_array_unref(channels->ports);
	g_ptr_array_unref(channels->listeners);
	g_free(channels);
}

/* (transfer container): of SfStream. */
static GPtrArray *all_streams(SfChannels *channels)
{
	GPtrArray *streams = g_ptr_array_new();

	for (unsigned int i = 0; i < channels->ports->len; i++) {
		SfStream *stream = sf_port_get_stream(channels->ports->pdata[i]);

		if (stream)
			g_ptr_array_add(streams, stream);
	}
	for (unsigned int i = 0; i < channels->listeners->len; i++)
		sf_listener_get_streams(channels->listeners->pdata[i], streams);
	return streams;
}

void sf_channels_stop_reading(SfChannels *channels)
{
	g_autoptr(GPtrArray) streams = all_streams(channels);

	for (unsigned int i = 0; i < streams->len; i++)
		sf_stream_stop_reading(streams->pdata[i]);
	for (unsigned int i = 0; i < channels->listeners->len; i++)
		sf_listener_stop(channels->listeners->pdata[i]);
}

/* Of struct pollfd: whom to wait for. */
static GArray *flush_each(GPtrArray *streams)
{
	GArray *waiting = g_array_new(FALSE, FALSE, sizeof(struct pollfd));

	for (unsigned int i = 0; i < streams->len; i++) {
		struct pollfd poller = {.events = POLLOUT};

		poller.fd = sf_stream_flush(streams->pdata[i]);
		if (poller.fd >= 0)
			g_array_append_val(waiting, poller);
	}
	return waiting;
}

bool sf_channels_flush(SfChannels *channels, unsigned int timeout_ms)
{
	g_autoptr(GPtrArray) streams = all_streams(channels);
	gint64 deadline_us = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

	for (;;) {
		g_autoptr(GArray) waiting = flush_each(streams);
		gint64 left_us = deadline_us - g_get_monotonic_time();

		if (waiting->len == 0)
			return true;
		if (left_us <= 0)
			return false;
		poll((struct pollfd *)waiting->data, waiting->len, left_us / 1000 + 1);
	}
}
