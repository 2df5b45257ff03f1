/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device that is there, or is waited for. Owns the channel for as long as it lives, the stream
 * for as long as the device is open, and a timer while it is not. Invariant: with retry, exactly
 * one of stream and timer exists. Called by channels.
 */
#include "config.h"

#include "agent/port.h"
#include "protocol/error.h"

/* A missing device is looked for more and more seldom. */
#define FIRST_RETRY_S 1
#define LAST_RETRY_S 5

struct SfPort {
	char *path;
	SfPortSetup setup;
	SfChannel *channel;
	SfStream *stream; /* (nullable) */
	SfPortLost lost;
	gpointer user_data;
	unsigned int timer; /* 0: none */
	unsigned int delay_s;
};

static void on_ended(const char *reason, gpointer user_data);
static gboolean on_retry(gpointer user_data);

static bool port_open(SfPort *port, GError **error)
{
	int fd = port->setup.open(port->path, error);

	if (fd < 0)
		return false;
	port->stream = sf_stream_new(fd, port->setup.kind, port->channel, on_ended, port, error);
	if (!port->stream)
		return false;
	port->delay_s = FIRST_RETRY_S;
	return true;
}

static void port_wait(SfPort *port)
{
	port->timer = g_timeout_add_seconds(port->delay_s, on_retry, port);
	port->delay_s = MIN(port->delay_s + 1, LAST_RETRY_S);
}

static gboolean on_retry(gpointer user_data)
{
	SfPort *port = user_data;

	port->timer = 0;
	if (port_open(port, NULL))
		g_info("%s: opened '%s'", sf_channel_get_name(port->channel), port->path);
	else
		port_wait(port);
	return G_SOURCE_REMOVE;
}

static void on_ended(const char *reason, gpointer user_data)
{
	SfPort *port = user_data;

	g_warning("%s: lost '%s': %s", sf_channel_get_name(port->channel), port->path, reason);
	g_clear_pointer(&port->stream, sf_stream_free);
	sf_channel_reset_input(port->channel);
	if (port->setup.retry)
		port_wait(port);
	else
		port->lost(port->user_data); /* last: it may free the port */
}

SfPort *sf_port_new(const SfPortSetup *setup, SfDispatch *dispatch, SfPortLost lost,
		    gpointer user_data, GError **error)
{
	g_autoptr(SfPort) port = g_new0(SfPort, 1);
	g_autoptr(GError) reason = NULL;

	port->path = g_strdup(setup->path);
	port->setup = *setup;
	port->channel = sf_channel_new(setup->name, dispatch);
	port->lost = lost;
	port->user_data = user_data;
	port->delay_s = FIRST_RETRY_S;
	if (!port_open(port, &reason)) {
		if (!setup->retry) {
			g_propagate_error(error, g_steal_pointer(&reason));
			return NULL;
		}
		g_warning("%s: %s; waiting for it", setup->name, reason->message);
		port_wait(port);
	}
	return g_steal_pointer(&port);
}

void sf_port_free(SfPort *port)
{
	if (!port)
		return;
	g_clear_handle_id(&port->timer, g_source_remove);
	sf_stream_free(port->stream);
	sf_channel_free(port->channel);
	g_free(port->path);
	g_free(port);
}

SfStream *sf_port_get_stream(SfPort *port)
{
	return port->stream;
}
