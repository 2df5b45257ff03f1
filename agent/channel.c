/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conversation with one host. Owns the parser, the queue of messages that came in, the one
 * request that dispatch has, and the replies not yet written. Invariant: at most one request is
 * with dispatch, so replies leave in the order of their requests. A reply never calls anybody back
 * from where it was made: the next step is taken from the main loop, so that whoever answers (the
 * session, amid a change of state) is not entered again. Called by stream, port and listener.
 */
#include "config.h"

#include <malloc.h>
#include <string.h>

#include "agent/channel.h"
#include "protocol/frame.h"

/* A longer message is no guest-sync, and not worth being read twice. */
#define MAX_SYNC_BYTES 4096
/* From this size on, what a reply took is handed back at once. */
#define LARGE_REPLY (64 * 1024)

/* A message that waits for its turn. Kept as text: parsed, it would take many times the memory. */
typedef struct {
	char *text;    /* (nullable): NULL where it was malformed */
	GError *error; /* then this is why */
	size_t bytes;
	uint64_t peer; /* which of the peers sent it */
	bool given_up;
} Item;

/* What dispatch holds of us; it outlives the channel where it must. */
typedef struct {
	SfChannel *channel; /* NULL once that is freed */
	uint64_t peer;
} Ticket;

struct SfChannel {
	char *name;
	SfDispatch *dispatch;
	SfFrame *frame;
	SfChannelWake wake;
	gpointer wake_data;
	GSource *source; /* takes the next step from the main loop */

	uint64_t peer;
	GQueue queue; /* of Item */
	size_t queued_bytes;
	Ticket *pending; /* (nullable): of the request that dispatch has */
	SfCall *call;    /* (nullable): the same, while it can be given up */
	bool is_advancing;

	GQueue output; /* of GBytes */
	size_t output_bytes;
	size_t output_done; /* of the first */
};

static void item_free(Item *item)
{
	g_free(item->text);
	g_clear_error(&item->error);
	g_free(item);
}

static void drop_output(SfChannel *channel)
{
	g_queue_clear_full(&channel->output, (GDestroyNotify)g_bytes_unref);
	channel->output_bytes = 0;
	channel->output_done = 0;
}

static void add_output(SfChannel *channel, GBytes *reply)
{
	if (g_bytes_get_size(reply) == 0)
		return;
	channel->output_bytes += g_bytes_get_size(reply);
	g_queue_push_tail(&channel->output, g_bytes_ref(reply));
}

static void take_reply(GBytes *reply, gpointer user_data)
{
	g_autofree Ticket *ticket = user_data;
	SfChannel *channel = ticket->channel;

	if (!channel)
		return;
	channel->pending = NULL;
	channel->call = NULL;
	if (reply && ticket->peer == channel->peer)
		add_output(channel, reply);
	if (!channel->is_advancing)
		g_source_set_ready_time(channel->source, 0);
}

static void submit(SfChannel *channel, Item *item)
{
	g_autoptr(GError) error = NULL;
	JsonNode *id = NULL;
	Ticket *ticket = g_new0(Ticket, 1);
	SfRequest *request = item->text ? sf_request_parse(item->text, &id, &error) : NULL;
	SfCall *call;

	ticket->channel = channel;
	ticket->peer = item->peer;
	channel->pending = ticket;
	if (!request) {
		sf_dispatch_refuse(channel->dispatch, item->error ? item->error : error, id,
				   take_reply, ticket);
		return;
	}
	call = sf_dispatch_submit(channel->dispatch, channel->name, request, take_reply, ticket);
	if (!channel->pending)
		return; /* answered already: neither ticket nor call is there any more */
	channel->call = call;
	if (item->given_up && call)
		sf_call_give_up(call);
}

/* Submits what waits, until one is not answered at once. */
static void advance(SfChannel *channel)
{
	if (channel->is_advancing)
		return;
	channel->is_advancing = true;
	while (!channel->pending && !g_queue_is_empty(&channel->queue) &&
	       channel->output_bytes <= SF_CHANNEL_MAX_OUTPUT_BYTES) {
		Item *item = g_queue_pop_head(&channel->queue);

		channel->queued_bytes -= item->bytes;
		submit(channel, item);
		item_free(item);
	}
	channel->is_advancing = false;
}

static gboolean step(gpointer user_data)
{
	SfChannel *channel = user_data;

	g_source_set_ready_time(channel->source, -1);
	advance(channel);
	if (channel->wake)
		channel->wake(channel->wake_data); /* last: it may free the channel */
	return G_SOURCE_CONTINUE;
}

static gboolean dispatch_source(GSource *source, GSourceFunc callback, gpointer user_data)
{
	return callback(user_data);
}

/* A source that is ready when its time is set to 0, and costs nothing before. */
static GSource *step_source_new(SfChannel *channel)
{
	static GSourceFuncs functions = {.dispatch = dispatch_source};
	GSource *source = g_source_new(&functions, sizeof(GSource));

	g_source_set_callback(source, step, channel, NULL);
	g_source_attach(source, NULL);
	return source;
}

SfChannel *sf_channel_new(const char *name, SfDispatch *dispatch)
{
	SfChannel *channel = g_new0(SfChannel, 1);

	channel->name = g_strdup(name);
	channel->dispatch = dispatch;
	channel->frame = sf_frame_new(&sf_frame_default_limits);
	channel->source = step_source_new(channel);
	g_queue_init(&channel->queue);
	g_queue_init(&channel->output);
	return channel;
}

void sf_channel_free(SfChannel *channel)
{
	if (!channel)
		return;
	if (channel->pending)
		channel->pending->channel = NULL;
	g_source_destroy(channel->source);
	g_source_unref(channel->source);
	g_queue_clear_full(&channel->queue, (GDestroyNotify)item_free);
	drop_output(channel);
	sf_frame_free(channel->frame);
	g_free(channel->name);
	g_free(channel);
}

void sf_channel_set_wake(SfChannel *channel, SfChannelWake wake, gpointer user_data)
{
	channel->wake = wake;
	channel->wake_data = user_data;
}

const char *sf_channel_get_name(const SfChannel *channel)
{
	return channel->name;
}

bool sf_channel_wants_input(const SfChannel *channel)
{
	return channel->queue.length < SF_CHANNEL_MAX_QUEUED &&
	       channel->queued_bytes < SF_CHANNEL_MAX_QUEUED_BYTES &&
	       channel->output_bytes <= SF_CHANNEL_MAX_OUTPUT_BYTES;
}

/* The sender of everything before this point waits for none of it any more. What waits is marked
 * first: giving up the call may answer it. */
static void give_up(SfChannel *channel)
{
	for (GList *link = channel->queue.head; link; link = link->next)
		((Item *)link->data)->given_up = true;
	if (channel->call)
		sf_call_give_up(channel->call);
}

static bool is_sync(const char *text)
{
	g_autoptr(SfRequest) request = NULL;
	g_autoptr(JsonNode) id = NULL;

	if (strlen(text) > MAX_SYNC_BYTES)
		return false;
	request = sf_request_parse(text, &id, NULL);
	return request && sf_dispatch_is_sync(request);
}

static void queue_item(SfChannel *channel, char *text, GError *error)
{
	Item *item = g_new0(Item, 1);

	item->text = text;
	item->error = error;
	item->bytes = text ? strlen(text) : strlen(error->message);
	item->peer = channel->peer;
	channel->queued_bytes += item->bytes;
	g_queue_push_tail(&channel->queue, item);
}

static void take_event(SfChannel *channel, SfFrameEvent event, char *text, GError *error)
{
	bool is_behind = channel->pending || !g_queue_is_empty(&channel->queue);

	switch (event) {
	case SF_FRAME_MESSAGE:
		if (is_behind && is_sync(text))
			give_up(channel);
		queue_item(channel, text, NULL);
		break;
	case SF_FRAME_ERROR:
		queue_item(channel, NULL, error);
		break;
	case SF_FRAME_RESET:
		give_up(channel);
		break;
	case SF_FRAME_MORE:
		break;
	}
}

size_t sf_channel_feed(SfChannel *channel, const uint8_t *data, size_t len)
{
	size_t left = len;
	SfFrameEvent event = SF_FRAME_MESSAGE;

	/* Submitting comes after reading: a freeze behind which a sync stands in the same bytes
	 * must not have begun when that is read. */
	while (event != SF_FRAME_MORE && sf_channel_wants_input(channel)) {
		char *text = NULL;
		GError *error = NULL;

		event = sf_frame_next(channel->frame, &data, &left, &text, &error);
		take_event(channel, event, text, error);
	}
	advance(channel);
	return len - left;
}

const uint8_t *sf_channel_output(const SfChannel *channel, size_t *out_len)
{
	GBytes *first = g_queue_peek_head((GQueue *)&channel->output);
	const uint8_t *data;

	if (!first)
		return NULL;
	data = g_bytes_get_data(first, out_len);
	*out_len -= channel->output_done;
	return data + channel->output_done;
}

/* Free room in the heap serves a large block too, and what that wrote to stays ours. */
static void drop_written(SfChannel *channel)
{
	GBytes *written = g_queue_pop_head(&channel->output);
	bool is_large = g_bytes_get_size(written) > LARGE_REPLY;

	channel->output_done = 0;
	g_bytes_unref(written);
	if (is_large)
		malloc_trim(0);
}

void sf_channel_output_written(SfChannel *channel, size_t len)
{
	GBytes *first = g_queue_peek_head(&channel->output);

	channel->output_done += len;
	channel->output_bytes -= len;
	if (channel->output_done == g_bytes_get_size(first))
		drop_written(channel);
	/* What waited for room goes on, from the loop. */
	if (!channel->pending && !g_queue_is_empty(&channel->queue))
		g_source_set_ready_time(channel->source, 0);
}

void sf_channel_drop_peer(SfChannel *channel)
{
	channel->peer++;
	drop_output(channel);
	if (!channel->pending && !g_queue_is_empty(&channel->queue))
		g_source_set_ready_time(channel->source, 0);
}

void sf_channel_reset_input(SfChannel *channel)
{
	sf_frame_reset(channel->frame);
}

bool sf_channel_is_idle(const SfChannel *channel)
{
	return !channel->pending && channel->queue.length == 0 && channel->output.length == 0;
}
