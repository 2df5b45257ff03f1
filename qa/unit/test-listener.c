/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/listener, unix-socket and vsock: who may connect, what is replaced and what is not, several
 * clients. */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vsock.h"
#include "protocol/error.h"
#include "qa/unit/listener-rig.h"

static void assert_is_closed(int fd)
{
	char byte;

	rig_spin();
	g_assert_cmpint(read(fd, &byte, 1), ==, 0);
}

static void listen_well(Fixture *fixture)
{
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&fixture->listener, sf_listener_free);
	fixture->listener = sf_listener_new_unix("ops", fixture->path, fixture->dispatch, &error);
	g_assert_no_error(error);
}

static void assert_listen_fails(Fixture *fixture, const char *path, const char *expected)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_listener_new_unix("ops", path, fixture->dispatch, &error));
	g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
	g_assert_nonnull(strstr(error->message, expected));
}

static void test_mode(Fixture *fixture, gconstpointer data)
{
	mode_t before = umask(0);
	struct stat status;

	listen_well(fixture);
	umask(before);
	g_assert_cmpint(lstat(fixture->path, &status), ==, 0);
	g_assert_true(S_ISSOCK(status.st_mode));
	g_assert_cmpint(status.st_mode & 07777, ==, 0600);
}

static void test_unlinked_when_ours(Fixture *fixture, gconstpointer data)
{
	listen_well(fixture);
	g_clear_pointer(&fixture->listener, sf_listener_free);
	g_assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));

	listen_well(fixture);
	g_assert_cmpint(g_unlink(fixture->path), ==, 0);
	g_assert_true(g_file_set_contents(fixture->path, "somebody else's", -1, NULL));
	g_clear_pointer(&fixture->listener, sf_listener_free);
	g_assert_true(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
}

static void test_stale(Fixture *fixture, gconstpointer data)
{
	struct sockaddr_un address = rig_address(fixture->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	close(fd);
	listen_well(fixture);
	close(rig_connect(fixture->path));
}

static void test_live(Fixture *fixture, gconstpointer data)
{
	int client;

	listen_well(fixture);
	assert_listen_fails(fixture, fixture->path, "is in use by another process");
	client = rig_connect(fixture->path);
	rig_say(client, "{'execute':'now','id':1}");
	rig_assert_hears(client, "1\n");
	close(client);
}

static void test_not_a_socket(Fixture *fixture, gconstpointer data)
{
	g_autofree char *long_path = g_strnfill(108, 'x');
	g_autofree char *target = NULL;

	g_assert_true(g_file_set_contents(fixture->path, "precious", -1, NULL));
	assert_listen_fails(fixture, fixture->path, "exists and is no socket");
	g_assert_true(g_file_get_contents(fixture->path, &target, NULL, NULL));
	g_assert_cmpstr(target, ==, "precious");
	assert_listen_fails(fixture, long_path, "is no path for a socket");
	assert_listen_fails(fixture, "/nonexistent/agent.sock", "No such file or directory");

	/* Nor through a symbolic link. */
	g_unlink(fixture->path);
	g_assert_cmpint(symlink("/nonexistent/agent.sock", fixture->path), ==, 0);
	assert_listen_fails(fixture, fixture->path, "exists and is no socket");
}

static void test_several_clients(Fixture *fixture, gconstpointer data)
{
	int first;
	int second;

	listen_well(fixture);
	first = rig_connect(fixture->path);
	second = rig_connect(fixture->path);
	/* Each has a parser of its own; a slow command of one keeps no other waiting. */
	rig_say(first, "{'execute':'slow'}{'execute':'ha");
	rig_say(second, "{'execute':'now','id':2}");
	rig_assert_hears(second, "2\n");
	rig_say(first, "lf'}");
	fake_dispatch_answer(fixture->dispatch);
	rig_assert_hears(first, "slow\n");
	/* To dispatch they are one channel. */
	for (unsigned int i = 0; i < fixture->dispatch->channels->len; i++)
		g_assert_cmpstr(fixture->dispatch->channels->pdata[i], ==, "ops");
	g_assert_cmpuint(fixture->dispatch->channels->len, ==, 3);
	close(first);
	close(second);
	rig_spin();
}

static void test_client_ends(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GPtrArray) streams = g_ptr_array_new();
	int client;

	listen_well(fixture);
	client = rig_connect(fixture->path);
	rig_say(client, "{'execute':'slow'}");
	g_assert_cmpint(shutdown(client, SHUT_WR), ==, 0);
	rig_spin();
	fake_dispatch_answer(fixture->dispatch);
	rig_assert_hears(client, "slow\n");
	assert_is_closed(client);
	close(client);
	sf_listener_get_streams(fixture->listener, streams);
	g_assert_cmpuint(streams->len, ==, 0);
}

static void test_too_many_clients(Fixture *fixture, gconstpointer data)
{
	int clients[SF_LISTENER_MAX_CLIENTS];
	int other;

	listen_well(fixture);
	for (int i = 0; i < SF_LISTENER_MAX_CLIENTS; i++)
		clients[i] = rig_connect(fixture->path);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "ops: 64 clients*");
	other = rig_connect(fixture->path);
	assert_is_closed(other);
	close(other);
	other = rig_connect(fixture->path); /* it is logged once */
	assert_is_closed(other);
	close(other);
	g_test_assert_expected_messages();

	close(clients[0]);
	rig_spin();
	clients[0] = rig_connect(fixture->path);
	rig_say(clients[0], "{'execute':'now','id':1}");
	rig_assert_hears(clients[0], "1\n");
	for (int i = 0; i < SF_LISTENER_MAX_CLIENTS; i++)
		close(clients[i]);
	rig_spin();
}

static void test_vsock_address(void)
{
	SfVsockAddress address;

	g_assert_true(sf_vsock_parse("3:1234", &address, NULL));
	g_assert_cmpuint(address.cid, ==, 3);
	g_assert_cmpuint(address.port, ==, 1234);
	g_assert_true(sf_vsock_parse("-1:9", &address, NULL));
	g_assert_cmpuint(address.cid, ==, UINT32_MAX);
	g_assert_true(sf_vsock_parse("4294967295:9", &address, NULL));
	g_assert_cmpuint(address.cid, ==, UINT32_MAX);
	g_assert_false(sf_vsock_parse("3", &address, NULL));
	g_assert_false(sf_vsock_parse("3:", &address, NULL));
	g_assert_false(sf_vsock_parse(":3", &address, NULL));
	g_assert_false(sf_vsock_parse("3:4:5", &address, NULL));
	g_assert_false(sf_vsock_parse("-2:4", &address, NULL));
	g_assert_false(sf_vsock_parse("4294967296:4", &address, NULL));
	g_assert_false(sf_vsock_parse("3:4x", &address, NULL));
}

static void test_vsock_trust(void)
{
	static const struct {
		SfVsockAddress own, peer;
		bool trusted;
	} cases[] = {
		{{3, 9}, {2, 50000}, true}, /* the host */
		{{3, 9}, {0, 50000}, true}, /* the hypervisor */
		{{3, 9}, {1, 1023}, true},  /* root, by loopback */
		{{3, 9}, {1, 1024}, false}, /* anybody, by loopback */
		{{3, 9}, {3, 1023}, true},  /* the same by the own number */
		{{3, 9}, {3, 1024}, false},
		{{2, 9}, {5, 1023}, false}, /* root of a guest of this machine */
		{{2, 9}, {2, 1024}, false}, /* anybody on a machine that is the host */
		{{2, 9}, {2, 80}, true},
		{{3, 9}, {UINT32_MAX, 80}, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpint(sf_vsock_peer_is_trusted(&cases[i].own, &cases[i].peer), ==,
				cases[i].trusted);
}

int main(int argc, char **argv)
{
	alarm(120); /* a test that waits for ever dies */
	g_test_init(&argc, &argv, NULL);
	ADD("/listener/mode-0600", test_mode);
	ADD("/listener/unlinked-when-ours", test_unlinked_when_ours);
	ADD("/listener/stale-is-replaced", test_stale);
	ADD("/listener/live-is-an-error", test_live);
	ADD("/listener/not-a-socket-stays", test_not_a_socket);
	ADD("/listener/several-clients", test_several_clients);
	ADD("/listener/client-ends", test_client_ends);
	ADD("/listener/too-many-clients", test_too_many_clients);
	g_test_add_func("/vsock/address", test_vsock_address);
	g_test_add_func("/vsock/whom-to-trust", test_vsock_trust);
	return g_test_run();
}
