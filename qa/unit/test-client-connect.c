/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/client: connecting, to sockets, terminals and what is neither. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qa/unit/client-rig.h"

static void check_no_connection(const char *address)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_client_connect(address, PATIENT_MS, &error));
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_CONNECT);
}

static void test_no_connection(void)
{
	g_autofree char *too_long = g_strnfill(200, 'x');

	check_no_connection("/nonexistent/agent");
	check_no_connection("unix:/nonexistent/agent");
	check_no_connection("");
	check_no_connection(too_long);
	check_no_connection("vsock:");
	check_no_connection("vsock:3");
	check_no_connection("vsock:3:x");
	check_no_connection("vsock:3:1:2");
	check_no_connection("vsock:99999999999:1");
}

/* The listener's queue is full and nobody accepts. */
static void test_connect_timeout(void)
{
	Agent agent = {0};
	SfClient *waiting[8] = {0};
	g_autoptr(GError) error = NULL;
	size_t n = 0;

	agent_listen(&agent);
	while (n < G_N_ELEMENTS(waiting)) {
		waiting[n] = sf_client_connect(agent.path, SHORT_MS, &error);
		if (!waiting[n])
			break;
		n++;
	}
	g_assert_error(error, SF_CLIENT_ERROR, SF_CLIENT_ERROR_TIMEOUT);
	g_assert_cmpuint(n, >, 0);
	for (size_t i = 0; i < n; i++)
		sf_client_free(waiting[i]);
	agent_stop_listening(&agent);
}

static void test_close_on_exec(void)
{
	Agent agent = {0};
	g_autofree char *address = NULL;
	SfClient *client;
	int next;

	agent_listen(&agent);
	address = g_strconcat("unix:", agent.path, NULL);
	/* The lowest free descriptor is the next one to be used. */
	next = dup(STDIN_FILENO);
	close(next);
	client = sf_client_connect(address, PATIENT_MS, NULL);
	g_assert_nonnull(client);
	g_assert_cmpint(fcntl(next, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
	sf_client_free(client);
	g_assert_cmpint(fcntl(next, F_GETFD), ==, -1);
	agent_stop_listening(&agent);
}

/* A virtio port's host side may be a pty: no echo, and every byte as it is. */
static gpointer run_on_terminal(gpointer data)
{
	Agent *agent = data;
	int64_t id = agent_read_sync(agent);
	g_autofree char *reply = g_strdup_printf("\xFF{\"return\": %" G_GINT64_FORMAT "}\n", id);

	g_assert_cmpint(write(agent->fd, reply, strlen(reply)), ==, (ssize_t)strlen(reply));
	return NULL;
}

static void test_terminal(void)
{
	Agent agent = {.fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
	g_autoptr(GError) error = NULL;
	g_autoptr(SfClient) client = NULL;
	int next;

	if (agent.fd < 0) {
		g_test_skip("no pseudo-terminals here");
		return;
	}
	g_assert_cmpint(grantpt(agent.fd), ==, 0);
	g_assert_cmpint(unlockpt(agent.fd), ==, 0);
	next = dup(STDIN_FILENO);
	close(next);
	client = sf_client_connect(ptsname(agent.fd), PATIENT_MS, &error);
	g_assert_no_error(error);
	g_assert_cmpint(fcntl(next, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
	agent.thread = g_thread_new("agent", run_on_terminal, &agent);
	g_assert_true(sf_client_sync(client, PATIENT_MS, &error));
	g_assert_no_error(error);
	g_thread_join(agent.thread);
	close(agent.fd);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/client-connect/no-connection", test_no_connection);
	g_test_add_func("/client-connect/connect-timeout", test_connect_timeout);
	g_test_add_func("/client-connect/close-on-exec", test_close_on_exec);
	g_test_add_func("/client-connect/terminal", test_terminal);
	return g_test_run();
}
