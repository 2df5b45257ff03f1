/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See listener-rig.h. */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qa/unit/listener-rig.h"

void rig_set_up(Fixture *fixture, gconstpointer data)
{
	fixture->dispatch = fake_dispatch_new();
	fixture->folder = g_dir_make_tmp("sf-listen-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "agent.sock", NULL);
}

void rig_tear_down(Fixture *fixture, gconstpointer data)
{
	sf_listener_free(fixture->listener);
	fake_dispatch_free(fixture->dispatch);
	g_unlink(fixture->path);
	g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
	g_free(fixture->folder);
	g_free(fixture->path);
}

void rig_spin(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		continue;
}

struct sockaddr_un rig_address(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	return address;
}

int rig_connect(const char *path)
{
	struct sockaddr_un address = rig_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	rig_spin();
	return fd;
}

void rig_say(int fd, const char *text)
{
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	rig_spin();
}

void rig_assert_hears(int fd, const char *expected)
{
	char buffer[4096];
	ssize_t len;

	rig_spin();
	len = read(fd, buffer, sizeof(buffer) - 1);
	buffer[MAX(len, 0)] = 0;
	g_assert_cmpstr(buffer, ==, expected);
}
