/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/listener, unixsocket, vsock, port and channels: who may connect, what is replaced and what
 * is not, several clients, devices that come and go. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "agent/channels.h"
#include "agent/listener.h"
#include "agent/port.h"
#include "agent/serial.h"
#include "agent/virtio.h"
#include "agent/vsock.h"
#include "fake-dispatch.h"
#include "protocol/error.h"

typedef struct {
	SfDispatch *dispatch;
	char *folder, *path;
	SfListener *listener;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->dispatch = fake_dispatch_new();
	fixture->folder = g_dir_make_tmp("sf-listen-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "agent.sock", NULL);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	sf_listener_free(fixture->listener);
	fake_dispatch_free(fixture->dispatch);
	g_unlink(fixture->path);
	g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
	g_free(fixture->folder);
	g_free(fixture->path);
}

static void spin(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		continue;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	return address;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	spin();
	return fd;
}

static void say(int fd, const char *text)
{
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	spin();
}

static void assert_hears(int fd, const char *expected)
{
	char buffer[4096];
	ssize_t len;

	spin();
	len = read(fd, buffer, sizeof(buffer) - 1);
	buffer[MAX(len, 0)] = 0;
	g_assert_cmpstr(buffer, ==, expected);
}

static void assert_is_closed(int fd)
{
	char byte;

	spin();
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
	struct sockaddr_un address = address_of(fixture->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	close(fd);
	listen_well(fixture);
	close(connect_to(fixture->path));
}

static void test_live(Fixture *fixture, gconstpointer data)
{
	int client;

	listen_well(fixture);
	assert_listen_fails(fixture, fixture->path, "is in use by another process");
	client = connect_to(fixture->path);
	say(client, "{'execute':'now','id':1}");
	assert_hears(client, "1\n");
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
	first = connect_to(fixture->path);
	second = connect_to(fixture->path);
	/* Each has a parser of its own; a slow command of one keeps no other waiting. */
	say(first, "{'execute':'slow'}{'execute':'ha");
	say(second, "{'execute':'now','id':2}");
	assert_hears(second, "2\n");
	say(first, "lf'}");
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(first, "slow\n");
	/* To dispatch they are one channel. */
	for (unsigned int i = 0; i < fixture->dispatch->channels->len; i++)
		g_assert_cmpstr(fixture->dispatch->channels->pdata[i], ==, "ops");
	g_assert_cmpuint(fixture->dispatch->channels->len, ==, 3);
	close(first);
	close(second);
	spin();
}

static void test_client_ends(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GPtrArray) streams = g_ptr_array_new();
	int client;

	listen_well(fixture);
	client = connect_to(fixture->path);
	say(client, "{'execute':'slow'}");
	g_assert_cmpint(shutdown(client, SHUT_WR), ==, 0);
	spin();
	fake_dispatch_answer(fixture->dispatch);
	assert_hears(client, "slow\n");
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
		clients[i] = connect_to(fixture->path);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "ops: 64 clients*");
	other = connect_to(fixture->path);
	assert_is_closed(other);
	close(other);
	other = connect_to(fixture->path); /* it is logged once */
	assert_is_closed(other);
	close(other);
	g_test_assert_expected_messages();

	close(clients[0]);
	spin();
	clients[0] = connect_to(fixture->path);
	say(clients[0], "{'execute':'now','id':1}");
	assert_hears(clients[0], "1\n");
	for (int i = 0; i < SF_LISTENER_MAX_CLIENTS; i++)
		close(clients[i]);
	spin();
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

static int open_pty(char **out_slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	g_assert_cmpint(master, >=, 0);
	g_assert_cmpint(grantpt(master), ==, 0);
	g_assert_cmpint(unlockpt(master), ==, 0);
	*out_slave = g_strdup(ptsname(master));
	return master;
}

static void count_lost(gpointer user_data)
{
	(*(unsigned int *)user_data)++;
}

static SfPort *port_new(Fixture *fixture, const char *path, bool retry, unsigned int *lost,
			GError **error)
{
	SfPortSetup setup = {"main", path, sf_serial_open, SF_STREAM_TTY, retry};

	return sf_port_new(&setup, fixture->dispatch, count_lost, lost, error);
}

static void test_serial(Fixture *fixture, gconstpointer data)
{
	g_autofree char *slave = NULL;
	int master = open_pty(&slave);
	unsigned int lost = 0;
	g_autoptr(SfPort) port = port_new(fixture, slave, false, &lost, NULL);

	g_assert_nonnull(port);
	/* Raw: no echo, no translation of the newline, 0xFF and control bytes as they are. */
	say(master, "{'execute':'ha\xff{'execute':'now','id':5}\x04\n");
	assert_hears(master, "5\nrefused\n");
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "main: lost '/dev/pts/*");
	close(master);
	while (!lost)
		g_main_context_iteration(NULL, TRUE);
	g_test_assert_expected_messages();
	g_assert_null(sf_port_get_stream(port));
}

static void test_missing_device(Fixture *fixture, gconstpointer data)
{
	unsigned int lost = 0;
	g_autoptr(GError) error = NULL;

	g_assert_null(port_new(fixture, fixture->path, false, &lost, &error));
	g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
	g_assert_nonnull(strstr(error->message, fixture->path));
}

/* It comes late, goes, and comes again: the path is a link to a terminal. */
static void test_retry(Fixture *fixture, gconstpointer data)
{
	unsigned int lost = 0;
	g_autoptr(SfPort) port = NULL;

	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "main: open *waiting for it");
	port = port_new(fixture, fixture->path, true, &lost, NULL);
	g_test_assert_expected_messages();
	for (int i = 0; i < 2; i++) {
		g_autofree char *slave = NULL;
		int master = open_pty(&slave);

		g_assert_cmpint(symlink(slave, fixture->path), ==, 0);
		while (!sf_port_get_stream(port))
			g_main_context_iteration(NULL, TRUE);
		say(master, "{'execute':'now','id':1}");
		assert_hears(master, "1\n");
		say(master, "{'execute':'half of it");
		g_unlink(fixture->path);
		g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "main: lost *");
		close(master);
		while (sf_port_get_stream(port))
			g_main_context_iteration(NULL, TRUE);
		g_test_assert_expected_messages();
	}
	g_assert_cmpuint(lost, ==, 0);
}

static SfConfig *config_for(const char *text)
{
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp("sf-config-XXXXXX", &path, NULL);
	SfConfigFiles files = {.chosen = path};
	SfOptions options = {0};
	SfConfig *config;

	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	close(fd);
	config = sf_config_new(&options, &files, NULL);
	g_assert_nonnull(config);
	g_unlink(path);
	return config;
}

static void test_channels(Fixture *fixture, gconstpointer data)
{
	g_autofree char *other = g_strconcat(fixture->path, "2", NULL);
	g_autofree char *text = g_strdup_printf("[general]\nmethod=unix-listen\npath=%s\n"
						"[channel:ops]\nmethod=unix-listen\npath=%s\n",
						fixture->path, other);
	g_autoptr(SfConfig) config = config_for(text);
	g_autoptr(SfChannels) channels =
		sf_channels_open(config, fixture->dispatch, count_lost, NULL, NULL);
	int client;
	int second;

	g_assert_nonnull(channels);
	client = connect_to(fixture->path);
	second = connect_to(other);
	say(client, "{'execute':'slow'}");
	say(second, "{'execute':'now','id':1}");
	g_assert_cmpstr(fixture->dispatch->channels->pdata[0], ==, "main");
	g_assert_cmpstr(fixture->dispatch->channels->pdata[1], ==, "ops");

	/* A reply that was made as the agent leaves gets out; no request comes in any more. */
	sf_channels_stop_reading(channels);
	fake_dispatch_answer(fixture->dispatch);
	g_assert_true(sf_channels_flush(channels, 1000));
	assert_hears(client, "slow\n");
	say(client, "{'execute':'more'}");
	g_assert_cmpuint(fixture->dispatch->submitted->len, ==, 2);
	close(client);
	close(second);
}

static void test_flush_is_bounded(Fixture *fixture, gconstpointer data)
{
	g_autofree char *text =
		g_strdup_printf("[general]\nmethod=unix-listen\npath=%s\n", fixture->path);
	g_autoptr(SfConfig) config = config_for(text);
	g_autoptr(SfChannels) channels =
		sf_channels_open(config, fixture->dispatch, count_lost, NULL, NULL);
	int deaf = connect_to(fixture->path);
	int client = connect_to(fixture->path);

	say(deaf, "{'execute':'big'}");
	say(client, "{'execute':'slow'}");
	fake_dispatch_answer(fixture->dispatch);
	g_assert_false(sf_channels_flush(channels, 10));
	assert_hears(client, "slow\n");
	close(deaf);
	close(client);
}

static void test_channel_needs_path(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = config_for("[general]\nmethod=unix-listen\n");
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_channels_open(config, fixture->dispatch, count_lost, NULL, &error));
	g_assert_cmpstr(error->message, ==, "channel main: unix-listen needs a path");
}

static void test_missing_virtio(Fixture *fixture, gconstpointer data)
{
	g_autofree char *text = g_strdup_printf("[general]\npath=%s\n", fixture->path);
	g_autoptr(SfConfig) config = config_for(text);
	g_autoptr(GError) error = NULL;
	g_autofree char *expected =
		g_strdup_printf("channel main: open '%s': No such file or directory",
				fixture->path);

	g_assert_null(sf_channels_open(config, fixture->dispatch, count_lost, NULL, &error));
	g_assert_cmpstr(error->message, ==, expected);
}

/* Descriptor 3 is what systemd would give; the test runs in a process of its own. */
static void test_inherited(Fixture *fixture, gconstpointer data)
{
	struct sockaddr_un address = address_of(fixture->path);
	g_autoptr(SfConfig) config = NULL;
	g_autoptr(SfChannels) channels = NULL;
	g_autofree char *pid = g_strdup_printf("%d", getpid());
	int fd;
	int client;

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		return;
	}
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(fd, 4), ==, 0);
	/* 3 is something from the FD store, 4 the socket. */
	fd = fcntl(fd, F_DUPFD, 10);
	g_assert_cmpint(dup2(open("/dev/null", O_RDONLY), 3), ==, 3);
	g_assert_cmpint(dup2(fd, 4), ==, 4);
	close(fd);
	g_setenv("LISTEN_FDS", "2", TRUE);
	config = config_for("[general]\nmethod=virtio-serial\npath=/nonexistent\n");
	/* They are somebody else's. */
	g_setenv("LISTEN_PID", "1", TRUE);
	g_assert_null(sf_channels_open(config, fixture->dispatch, count_lost, NULL, NULL));
	g_setenv("LISTEN_PID", pid, TRUE);
	channels = sf_channels_open(config, fixture->dispatch, count_lost, NULL, NULL);
	g_assert_nonnull(channels);
	g_assert_cmpint(fcntl(4, F_GETFD), ==, FD_CLOEXEC);
	client = connect_to(fixture->path);
	say(client, "{'execute':'now','id':1}");
	assert_hears(client, "1\n");
	close(client);
	spin();
	g_clear_pointer(&channels, sf_channels_free);
	/* systemd's file stays systemd's. */
	g_assert_true(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
}

#define ADD(name, function) g_test_add(name, Fixture, NULL, set_up, function, tear_down)

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
	ADD("/port/serial", test_serial);
	ADD("/port/missing-device", test_missing_device);
	ADD("/port/retry", test_retry);
	ADD("/channels/names-and-exit", test_channels);
	ADD("/channels/flush-is-bounded", test_flush_is_bounded);
	ADD("/channels/needs-path", test_channel_needs_path);
	ADD("/channels/missing-virtio", test_missing_virtio);
	ADD("/channels/inherited", test_inherited);
	return g_test_run();
}
