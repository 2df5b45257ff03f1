/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/channel and agent/stream: the order of replies, what a sync behind a request does, bounds
 * with a peer that never reads, and what becomes of replies whose peer is gone. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/channel.h"
#include "agent/stream.h"
#include "fake-dispatch.h"

/* A channel whose host is a socket. */
typedef struct {
	SfDispatch *dispatch;
	SfChannel *channel;
	SfStream *stream;
	int host;
	bool ended;
} Fixture;

static void on_ended(const char *reason, gpointer user_data)
{
	Fixture *fixture = user_data;

	g_assert_null(reason);
	fixture->ended = true;
	g_clear_pointer(&fixture->stream, sf_stream_free);
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	SfStreamKind kind = GPOINTER_TO_INT(data);
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			==, 0);
	fixture->dispatch = fake_dispatch_new();
	fixture->channel = sf_channel_new("main", fixture->dispatch);
	fixture->stream = sf_stream_new(pair[0], kind, fixture->channel, on_ended, fixture, NULL);
	g_assert_nonnull(fixture->stream);
	fixture->host = pair[1];
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	g_clear_pointer(&fixture->stream, sf_stream_free);
	g_clear_pointer(&fixture->channel, sf_channel_free);
	fake_dispatch_free(fixture->dispatch);
	if (fixture->host >= 0)
		close(fixture->host);
}

static void spin(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		continue;
}

static void say(Fixture *fixture, const char *text)
{
	g_assert_cmpint(write(fixture->host, text, strlen(text)), ==, (ssize_t)strlen(text));
	spin();
}

/* All that came back until now. */
static char *hear(Fixture *fixture)
{
	char buffer[4096];
	ssize_t len;

	spin();
	len = read(fixture->host, buffer, sizeof(buffer) - 1);
	if (len < 0)
		g_assert_cmpint(errno, ==, EAGAIN);
	buffer[MAX(len, 0)] = 0;
	return g_strdup(buffer);
}

static void assert_hears(Fixture *fixture, const char *expected)
{
	g_autofree char *heard = hear(fixture);

	g_assert_cmpstr(heard, ==, expected);
}

static void assert_submitted(Fixture *fixture, const char *expected)
{
	g_autofree char *log = fake_dispatch_log(fixture->dispatch);

	g_assert_cmpstr(log, ==, expected);
}

static void test_order(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}{'execute':'now','id':7}nonsense\n{'execute':'other'}");
	assert_submitted(fixture, "slow");
	assert_hears(fixture, "");
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(fixture, "slow\n7\nrefused\n");
	assert_submitted(fixture, "slow now ! other");
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(fixture, "other\n");
}

static void test_reads_on_while_pending(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}");
	say(fixture, "{'execute':'now','id':1}");
	say(fixture, "{'execute':'guest-sync','id':2}");
	g_assert_cmpuint(fixture->dispatch->given_up, ==, 1);
	/* Only a freeze minds being given up. */
	assert_hears(fixture, "");
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(fixture, "slow\n1\n2\n");
}

static void test_sync_gives_up_pending(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'freeze'}");
	say(fixture, "{'execute':'now','id':1}");
	g_assert_cmpuint(fixture->dispatch->given_up, ==, 0);
	say(fixture, "{'execute':'guest-sync-delimited','id':2}");
	g_assert_cmpuint(fixture->dispatch->given_up, ==, 1);
	assert_hears(fixture, "gave up\n1\n2\n");
}

static void test_reset_gives_up_pending(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'freeze'}{'exe\xff");
	g_assert_cmpuint(fixture->dispatch->given_up, ==, 1);
	say(fixture, "{'execute':'now','id':2}");
	assert_hears(fixture, "gave up\n2\n");
}

static void test_sync_gives_up_queued(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}{'execute':'freeze'}");
	say(fixture, "{'execute':'guest-sync','id':1}{'execute':'freeze'}");
	fake_dispatch_answer(fixture->dispatch);
	/* The second freeze stands behind the sync: it is wanted. */
	assert_hears(fixture, "slow\ngave up\n1\n");
	g_assert_cmpuint(fixture->dispatch->calls->len, ==, 1);
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(fixture, "freeze\n");
}

/* All in one read: nothing was with dispatch yet when the sync was seen. */
static void test_sync_in_same_bytes(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'freeze'}{'execute':'guest-sync','id':1}");
	assert_hears(fixture, "gave up\n1\n");
}

static void test_sync_itself_is_not_given_up(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'guest-sync','id':1}\xff{'execute':'freeze'}");
	g_assert_cmpuint(fixture->dispatch->given_up, ==, 0);
	g_assert_cmpuint(fixture->dispatch->calls->len, ==, 1);
}

static void test_end_of_input(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}{'execute':'now','id':1}{'execute':'half");
	g_assert_cmpint(shutdown(fixture->host, SHUT_WR), ==, 0);
	spin();
	g_assert_false(fixture->ended);
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(fixture, "slow\n1\n");
	g_assert_true(fixture->ended);
}

static void test_peer_gone(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}{'execute':'other'}");
	close(fixture->host);
	fixture->host = -1;
	spin();
	fake_dispatch_answer(fixture->dispatch);
	spin();
	/* What came whole is carried out, though nobody hears of it. */
	assert_submitted(fixture, "slow other");
	fake_dispatch_answer(fixture->dispatch);
	spin();
	g_assert_true(fixture->ended);
}

static void test_freed_while_pending(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}");
	g_clear_pointer(&fixture->stream, sf_stream_free);
	g_clear_pointer(&fixture->channel, sf_channel_free);
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(fixture, "");
}

/* Writes the same message until nobody takes any more; returns how many were taken. */
static unsigned int flood(Fixture *fixture, const char *text, unsigned int most)
{
	unsigned int taken = 0;
	size_t len = strlen(text);

	while (taken < most && write(fixture->host, text, len) == (ssize_t)len) {
		taken++;
		spin();
	}
	return taken;
}

static void test_queue_is_bounded(Fixture *fixture, gconstpointer data)
{
	unsigned int sent;
	unsigned int answered = 0;

	say(fixture, "{'execute':'slow'}");
	sent = flood(fixture, "{'execute':'now','id':3}", 1000000);
	/* What was not queued is in one chunk and the kernel's buffers. */
	g_assert_cmpuint(sent, >, SF_CHANNEL_MAX_QUEUED);
	g_assert_cmpuint(sent, <, 20000);
	g_assert_false(sf_channel_wants_input(fixture->channel));
	fake_dispatch_answer(fixture->dispatch);
	/* Nothing is lost. */
	while (answered < sent + 1) {
		g_autofree char *heard = hear(fixture);

		g_assert_cmpstr(heard, !=, "");
		for (const char *at = heard; *at; at++)
			answered += *at == '\n';
	}
	g_assert_cmpuint(answered, ==, sent + 1);
}

static void test_queue_is_bounded_in_bytes(Fixture *fixture, gconstpointer data)
{
	g_autofree char *name = g_strnfill(1024 * 1024, 'x');
	g_autofree char *message = g_strdup_printf("{'execute':'%s'}", name);
	unsigned int sent = 0;

	say(fixture, "{'execute':'slow'}");
	for (; sf_channel_wants_input(fixture->channel); sent++)
		sf_channel_feed(fixture->channel, (const uint8_t *)message, strlen(message));
	g_assert_cmpuint(sent, ==, SF_CHANNEL_MAX_QUEUED_BYTES / (1024 * 1024));
	g_assert_cmpuint(sf_channel_feed(fixture->channel, (const uint8_t *)message,
					 strlen(message)),
			 ==, 0);
}

static void test_output_is_bounded(Fixture *fixture, gconstpointer data)
{
	unsigned int most = 4 * SF_CHANNEL_MAX_OUTPUT_BYTES / (1024 * 1024);

	/* Each is answered with a megabyte, which nobody reads. */
	for (unsigned int i = 0; i < most; i++)
		say(fixture, "{'execute':'big'}");
	g_assert_cmpuint(fixture->dispatch->submitted->len, >, 15);
	g_assert_cmpuint(fixture->dispatch->submitted->len, <, 20);
	g_assert_false(sf_channel_wants_input(fixture->channel));
	for (uint64_t left = (uint64_t)most * 1024 * 1024; left > 0;) {
		char buffer[65536];
		ssize_t len = read(fixture->host, buffer, sizeof(buffer));

		g_assert_cmpint(len, >, 0);
		left -= len;
		spin();
	}
	g_assert_cmpuint(fixture->dispatch->submitted->len, ==, most);
	assert_hears(fixture, "");
}

static void test_flush_at_exit(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}");
	fake_dispatch_answer(fixture->dispatch);
	sf_stream_stop_reading(fixture->stream);
	/* No loop runs any more. */
	g_assert_cmpint(sf_stream_flush(fixture->stream), ==, -1);
	assert_hears(fixture, "slow\n");
	say(fixture, "{'execute':'more'}");
	assert_submitted(fixture, "slow");
}

/* The end of a virtio port's host is a read of nothing; a socket's shutdown looks the same. */
static void test_virtio_host_closes(Fixture *fixture, gconstpointer data)
{
	const char *next = "{'execute':'now','id':2}";
	size_t len = 0;

	say(fixture, "{'execute':'slow'}{'execute':'other'}{'execute':'half");
	g_assert_cmpint(shutdown(fixture->host, SHUT_WR), ==, 0);
	spin();
	g_assert_false(fixture->ended);
	g_assert_nonnull(fixture->stream);
	/* The former host's requests are carried out, and answered to nobody. */
	fake_dispatch_answer(fixture->dispatch);
	spin();
	assert_submitted(fixture, "slow other");
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(fixture, "");
	/* What the former host left half said is forgotten. */
	sf_channel_drop_peer(fixture->channel);
	sf_channel_feed(fixture->channel, (const uint8_t *)next, strlen(next));
	g_assert_cmpmem(sf_channel_output(fixture->channel, &len), len, "2\n", 2);
}

/* The next host finds a fresh parser, and only its own replies. */
static void test_next_peer(Fixture *fixture, gconstpointer data)
{
	const char *half = "{'execute':'now','id':1}{'execute':'slow'}{'execute':'half";
	const char *next = "{'execute':'now','id':2}";
	size_t len = 0;

	g_clear_pointer(&fixture->stream, sf_stream_free);
	sf_channel_feed(fixture->channel, (const uint8_t *)half, strlen(half));
	g_assert_nonnull(sf_channel_output(fixture->channel, &len));
	sf_channel_drop_peer(fixture->channel);
	sf_channel_reset_input(fixture->channel);
	g_assert_null(sf_channel_output(fixture->channel, &len));
	sf_channel_feed(fixture->channel, (const uint8_t *)next, strlen(next));
	fake_dispatch_answer(fixture->dispatch);
	spin();
	g_assert_cmpmem(sf_channel_output(fixture->channel, &len), len, "2\n", 2);
}

/* The invariant that an answer from within dispatch calls nobody back. */
static void test_answer_does_not_reenter(Fixture *fixture, gconstpointer data)
{
	say(fixture, "{'execute':'slow'}{'execute':'other'}");
	fake_dispatch_answer(fixture->dispatch);
	assert_submitted(fixture, "slow");
	spin();
	assert_submitted(fixture, "slow other");
}

#define ADD(name, kind, function) \
	g_test_add(name, Fixture, GINT_TO_POINTER(kind), set_up, function, tear_down)

int main(int argc, char **argv)
{
	alarm(120); /* a test that waits for ever dies */
	g_test_init(&argc, &argv, NULL);
	ADD("/channel/order", SF_STREAM_SOCKET, test_order);
	ADD("/channel/reads-on-while-pending", SF_STREAM_SOCKET, test_reads_on_while_pending);
	ADD("/channel/sync-gives-up-pending", SF_STREAM_SOCKET, test_sync_gives_up_pending);
	ADD("/channel/reset-gives-up-pending", SF_STREAM_SOCKET, test_reset_gives_up_pending);
	ADD("/channel/sync-gives-up-queued", SF_STREAM_SOCKET, test_sync_gives_up_queued);
	ADD("/channel/sync-in-same-bytes", SF_STREAM_SOCKET, test_sync_in_same_bytes);
	ADD("/channel/sync-is-not-given-up", SF_STREAM_SOCKET, test_sync_itself_is_not_given_up);
	ADD("/channel/answer-does-not-reenter", SF_STREAM_SOCKET, test_answer_does_not_reenter);
	ADD("/channel/end-of-input", SF_STREAM_SOCKET, test_end_of_input);
	ADD("/channel/peer-gone", SF_STREAM_SOCKET, test_peer_gone);
	ADD("/channel/freed-while-pending", SF_STREAM_SOCKET, test_freed_while_pending);
	ADD("/channel/queue-is-bounded", SF_STREAM_SOCKET, test_queue_is_bounded);
	ADD("/channel/queue-is-bounded-in-bytes", SF_STREAM_SOCKET, test_queue_is_bounded_in_bytes);
	ADD("/channel/output-is-bounded", SF_STREAM_SOCKET, test_output_is_bounded);
	ADD("/channel/flush-at-exit", SF_STREAM_SOCKET, test_flush_at_exit);
	ADD("/channel/virtio-host-closes", SF_STREAM_VIRTIO, test_virtio_host_closes);
	ADD("/channel/next-peer", SF_STREAM_SOCKET, test_next_peer);
	return g_test_run();
}
