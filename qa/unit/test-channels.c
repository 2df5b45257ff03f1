/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/port and channels: devices that come and go, which channels a configuration has, and how
 * they end. */
#include "config.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/channels.h"
#include "agent/port.h"
#include "agent/serial.h"
#include "protocol/error.h"
#include "qa/unit/listener-rig.h"

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
	rig_say(master, "{'execute':'ha\xff{'execute':'now','id':5}\x04\n");
	rig_assert_hears(master, "5\nrefused\n");
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
		rig_say(master, "{'execute':'now','id':1}");
		rig_assert_hears(master, "1\n");
		rig_say(master, "{'execute':'half of it");
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
	client = rig_connect(fixture->path);
	second = rig_connect(other);
	rig_say(client, "{'execute':'slow'}");
	rig_say(second, "{'execute':'now','id':1}");
	g_assert_cmpstr(fixture->dispatch->channels->pdata[0], ==, "main");
	g_assert_cmpstr(fixture->dispatch->channels->pdata[1], ==, "ops");

	/* A reply that was made as the agent leaves gets out; no request comes in any more. */
	sf_channels_stop_reading(channels);
	fake_dispatch_answer(fixture->dispatch);
	g_assert_true(sf_channels_flush(channels, 1000));
	rig_assert_hears(client, "slow\n");
	rig_say(client, "{'execute':'more'}");
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
	int deaf = rig_connect(fixture->path);
	int client = rig_connect(fixture->path);

	rig_say(deaf, "{'execute':'big'}");
	rig_say(client, "{'execute':'slow'}");
	fake_dispatch_answer(fixture->dispatch);
	g_assert_false(sf_channels_flush(channels, 10));
	rig_assert_hears(client, "slow\n");
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
	struct sockaddr_un address = rig_address(fixture->path);
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
	client = rig_connect(fixture->path);
	rig_say(client, "{'execute':'now','id':1}");
	rig_assert_hears(client, "1\n");
	close(client);
	rig_spin();
	g_clear_pointer(&channels, sf_channels_free);
	/* systemd's file stays systemd's. */
	g_assert_true(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
	alarm(120); /* a test that waits for ever dies */
	g_test_init(&argc, &argv, NULL);
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
