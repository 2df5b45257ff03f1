/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A listening socket and its clients. Owns both, and the socket's file where it made it. Invariant:
 * a client is in the array exactly as long as its stream is not over. Called by channels.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib-unix.h>

#include "agent/channel.h"
#include "agent/listener.h"
#include "agent/stream.h"
#include "agent/unix-socket.h"
#include "agent/vsock.h"
#include "protocol/error.h"

/* How long no client is let in after the process ran out of descriptors or memory. */
#define PAUSE_MS 1000

typedef struct {
	SfListener *listener;
	SfChannel *channel;
	SfStream *stream;
} Client;

struct SfListener {
	char *name;
	SfDispatch *dispatch;
	int fd;
	int family;
	unsigned int watch; /* 0: no client is let in now */
	unsigned int pause; /* 0: no pause is under way */
	GPtrArray *clients; /* of Client */
	bool is_full;       /* and that was logged */
	char *unix_path;    /* (nullable): the file that we made */
	struct stat unix_made;
};

static gboolean on_connection(int fd, GIOCondition condition, gpointer user_data);

static void client_free(Client *client)
{
	sf_stream_free(client->stream);
	sf_channel_free(client->channel);
	g_free(client);
}

static void on_ended(const char *reason, gpointer user_data)
{
	Client *client = user_data;
	SfListener *listener = client->listener;

	listener->is_full = false;
	g_ptr_array_remove_fast(listener->clients, client);
}

static void add_client(SfListener *listener, int fd)
{
	Client *client = g_new0(Client, 1);
	g_autoptr(GError) error = NULL;

	client->listener = listener;
	client->channel = sf_channel_new(listener->name, listener->dispatch);
	client->stream =
		sf_stream_new(fd, SF_STREAM_SOCKET, client->channel, on_ended, client, &error);
	if (!client->stream) {
		g_warning("%s: %s", listener->name, error->message);
		client_free(client);
		return;
	}
	g_ptr_array_add(listener->clients, client);
}

static bool peer_may_talk(SfListener *listener, int fd)
{
	SfVsockAddress own;
	SfVsockAddress peer;

	if (listener->family != AF_VSOCK)
		return true;
	if (!sf_vsock_get_ends(fd, &own, &peer))
		return false;
	if (sf_vsock_peer_is_trusted(&own, &peer))
		return true;
	g_warning("%s: refused a client from vsock %u:%u: neither the host nor this machine's root",
		  listener->name, peer.cid, peer.port);
	return false;
}

static bool has_room(SfListener *listener)
{
	if (listener->clients->len < SF_LISTENER_MAX_CLIENTS)
		return true;
	if (!listener->is_full)
		g_warning("%s: %d clients are connected: more are turned away", listener->name,
			  SF_LISTENER_MAX_CLIENTS);
	listener->is_full = true;
	return false;
}

static void watch(SfListener *listener)
{
	listener->watch = g_unix_fd_add(listener->fd, G_IO_IN, on_connection, listener);
}

static gboolean on_pause_over(gpointer user_data)
{
	SfListener *listener = user_data;

	listener->pause = 0;
	watch(listener);
	return G_SOURCE_REMOVE;
}

static gboolean on_connection(int fd, GIOCondition condition, gpointer user_data)
{
	SfListener *listener = user_data;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (client >= 0) {
		if (has_room(listener) && peer_may_talk(listener, client))
			add_client(listener, client);
		else
			close(client);
		return G_SOURCE_CONTINUE;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return G_SOURCE_CONTINUE;
	/* The connection stays in the queue, so the socket stays readable: this would spin. */
	g_warning("%s: accept: %s", listener->name, g_strerror(errno));
	listener->watch = 0;
	listener->pause = g_timeout_add(PAUSE_MS, on_pause_over, listener);
	return G_SOURCE_REMOVE;
}

static SfListener *listener_new(const char *name, int fd, int family, SfDispatch *dispatch)
{
	SfListener *listener = g_new0(SfListener, 1);

	listener->name = g_strdup(name);
	listener->dispatch = dispatch;
	listener->fd = fd;
	listener->family = family;
	listener->clients = g_ptr_array_new_with_free_func((GDestroyNotify)client_free);
	watch(listener);
	return listener;
}

SfListener *sf_listener_new_unix(const char *name, const char *path, SfDispatch *dispatch,
				 GError **error)
{
	struct stat made;
	int fd = sf_unix_socket_listen(path, &made, error);
	SfListener *listener;

	if (fd < 0)
		return NULL;
	listener = listener_new(name, fd, AF_UNIX, dispatch);
	listener->unix_path = g_strdup(path);
	listener->unix_made = made;
	return listener;
}

SfListener *sf_listener_new_vsock(const char *name, const char *address, SfDispatch *dispatch,
				  GError **error)
{
	int fd = sf_vsock_listen(address, error);

	return fd < 0 ? NULL : listener_new(name, fd, AF_VSOCK, dispatch);
}

/* Both flags are ours to set: what was inherited may lack them. */
static bool prepare_inherited(int fd, int *out_family, GError **error)
{
	socklen_t len = sizeof(*out_family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, out_family, &len) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return sf_throw_errno(error, "inherited socket");
	if (*out_family != AF_UNIX && *out_family != AF_VSOCK)
		return sf_throw(error, "the inherited socket is neither Unix nor vsock");
	return true;
}

SfListener *sf_listener_new_from_fd(const char *name, int fd, SfDispatch *dispatch, GError **error)
{
	int family;

	if (!prepare_inherited(fd, &family, error)) {
		close(fd);
		return NULL;
	}
	return listener_new(name, fd, family, dispatch);
}

void sf_listener_free(SfListener *listener)
{
	if (!listener)
		return;
	sf_listener_stop(listener);
	g_ptr_array_unref(listener->clients);
	if (listener->unix_path)
		sf_unix_socket_unlink(listener->unix_path, &listener->unix_made);
	close(listener->fd);
	g_free(listener->unix_path);
	g_free(listener->name);
	g_free(listener);
}

void sf_listener_get_streams(SfListener *listener, GPtrArray *streams)
{
	for (unsigned int i = 0; i < listener->clients->len; i++)
		g_ptr_array_add(streams, ((Client *)listener->clients->pdata[i])->stream);
}

void sf_listener_stop(SfListener *listener)
{
	g_clear_handle_id(&listener->watch, g_source_remove);
	g_clear_handle_id(&listener->pause, g_source_remove);
}
