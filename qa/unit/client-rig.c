/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See client-rig.h. */
#include "config.h"

#include <glib/gstdio.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qa/unit/client-rig.h"

static gpointer run_agent(gpointer data)
{
	Agent *agent = data;

	agent->fd = accept4(agent->listener, NULL, NULL, SOCK_CLOEXEC);
	g_assert_cmpint(agent->fd, >=, 0);
	agent->script(agent);
	close(agent->fd);
	return NULL;
}

void agent_listen(Agent *agent)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	agent->folder = g_dir_make_tmp("test-client-XXXXXX", NULL);
	agent->path = g_build_filename(agent->folder, "agent", NULL);
	g_assert_cmpuint(strlen(agent->path), <, sizeof address.sun_path);
	memcpy(address.sun_path, agent->path, strlen(agent->path));
	agent->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(agent->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(agent->listener, 0), ==, 0);
}

SfClient *agent_start(Agent *agent, Script script)
{
	SfClient *client;
	g_autoptr(GError) error = NULL;

	agent_listen(agent);
	agent->script = script;
	agent->thread = g_thread_new("agent", run_agent, agent);
	client = sf_client_connect(agent->path, PATIENT_MS, &error);
	g_assert_no_error(error);
	return client;
}

void agent_stop_listening(Agent *agent)
{
	close(agent->listener);
	g_unlink(agent->path);
	g_rmdir(agent->folder);
	g_free(agent->path);
	g_free(agent->folder);
}

void agent_stop(Agent *agent, SfClient *client)
{
	sf_client_free(client);
	g_thread_join(agent->thread);
	agent_stop_listening(agent);
}

char *agent_read_line(Agent *agent)
{
	GString *line = g_string_new(NULL);
	char byte;

	while (read(agent->fd, &byte, 1) == 1 && byte != '\n')
		g_string_append_c(line, byte);
	return g_string_free(line, FALSE);
}

void agent_skip_line(Agent *agent)
{
	g_free(agent_read_line(agent));
}

void agent_wait_for_close(Agent *agent)
{
	char bytes[256];

	while (read(agent->fd, bytes, sizeof bytes) > 0)
		;
}

bool agent_say(Agent *agent, const char *bytes)
{
	size_t len = strlen(bytes);

	return send(agent->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

void agent_wait_until_read(Agent *agent)
{
	int unread = 1;

	while (unread > 0) {
		g_thread_yield();
		g_assert_cmpint(ioctl(agent->fd, SIOCOUTQ, &unread), ==, 0);
	}
}

int64_t agent_read_sync(Agent *agent)
{
	static const char head[] =
		"\xFF{\"execute\": \"guest-sync-delimited\", \"arguments\": {\"id\": ";
	g_autofree char *line = agent_read_line(agent);

	g_assert_true(g_str_has_prefix(line, head));
	g_assert_true(g_str_has_suffix(line, "}}"));
	return g_ascii_strtoll(line + strlen(head), NULL, 10);
}

void agent_answer_sync(Agent *agent, int64_t id)
{
	g_autofree char *reply = g_strdup_printf("\xFF{\"return\": %" G_GINT64_FORMAT "}\n", id);

	g_assert_true(agent_say(agent, reply));
}

void agent_answer_once(Agent *agent)
{
	agent_skip_line(agent);
	(void)agent_say(agent, agent->answer);
	agent_wait_for_close(agent);
}
