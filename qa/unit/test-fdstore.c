/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/fdstore: what was inherited is found by its name, and closed once. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/fdstore.h"

#define DEVICE SF_DEVICE(8, 1)

/* As the service manager starts a process: its store from 3 on, with names to match. */
static void inherit(const char *names, unsigned int count)
{
	char pid[16];

	for (unsigned int i = 0; i < count; i++) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		g_assert_cmpint(fd, >=, 0);
		g_assert_cmpint(dup2(fd, 3 + (int)i), ==, 3 + (int)i);
		if (fd >= 3 + (int)count)
			close(fd);
	}
	g_snprintf(pid, sizeof(pid), "%d", (int)getpid());
	g_setenv("LISTEN_PID", pid, TRUE);
	g_setenv("LISTEN_FDNAMES", names, TRUE);
	g_unsetenv("NOTIFY_SOCKET");
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* In a process of its own: the numbers from 3 on are anybody's here. */
static void in_a_child(void (*check)(void))
{
	if (g_test_subprocess()) {
		check();
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
}

static void check_find(void)
{
	inherit("agent.socket:frozen-8-1:frozen-8-11", 3);
	g_assert_cmpint(sf_fdstore_find(DEVICE), ==, 4);
	g_assert_cmpint(sf_fdstore_find(SF_DEVICE(8, 11)), ==, 5);
	g_assert_cmpint(sf_fdstore_find(SF_DEVICE(8, 2)), ==, -1);
	g_setenv("LISTEN_PID", "1", TRUE);
	g_assert_cmpint(sf_fdstore_find(DEVICE), ==, -1);
}

static void test_find(void)
{
	in_a_child(check_find);
}

static void check_clear(void)
{
	inherit("agent.socket:frozen-8-1", 2);
	g_autoptr(GPtrArray) texts = sf_fdstore_clear();
	g_assert_cmpuint(texts->len, ==, 1);
	g_assert_cmpstr(g_ptr_array_index(texts, 0), ==, "FDSTOREREMOVE=1\nFDNAME=frozen-8-1");
	g_assert_true(is_open(3));
	g_assert_false(is_open(4));
	g_assert_cmpint(sf_fdstore_find(DEVICE), ==, -1);

	/* The number is somebody else's now. */
	g_assert_cmpint(fcntl(3, F_DUPFD, 4), ==, 4);
	g_autoptr(GPtrArray) none = sf_fdstore_clear();
	g_assert_cmpuint(none->len, ==, 0);
	g_assert_true(is_open(3));
	g_assert_true(is_open(4));
	g_assert_cmpint(sf_fdstore_find(DEVICE), ==, -1);
}

static void test_clear(void)
{
	in_a_child(check_clear);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fdstore/find", test_find);
	g_test_add_func("/fdstore/clear-once", test_clear);
	return g_test_run();
}
