/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/service-manager: what a manager hears, in order, also where it does not listen for a while;
 * and that nobody wakes up for one that has nothing to hear. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/service-manager.h"
#include "agent/target.h"

#define TARGETS 3
#define FILLING "FILLING=1"

/* The manager's end. */
typedef struct {
	char *folder, *path;
	int socket;
	SfServiceManager *manager;
	SfPlan *plan;
} Rig;

static void listen_at(Rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	rig->folder = g_dir_make_tmp("sf-manager-XXXXXX", NULL);
	rig->path = g_build_filename(rig->folder, "notify", NULL);
	rig->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_assert_cmpint(strlen(rig->path), <, sizeof(address.sun_path));
	strcpy(address.sun_path, rig->path);
	g_assert_no_errno(bind(rig->socket, (struct sockaddr *)&address, sizeof(address)));
}

static void set_up(Rig *rig, gconstpointer data)
{
	listen_at(rig);
	g_setenv("NOTIFY_SOCKET", rig->path, TRUE);
	rig->manager = sf_service_manager_new();
	rig->plan = sf_plan_new_empty();
	for (int i = 0; i < TARGETS; i++) {
		SfTarget *target = g_new0(SfTarget, 1);
		target->device = SF_DEVICE(8, i);
		target->routes = g_array_new(FALSE, FALSE, sizeof(SfRoute));
		target->devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));
		target->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		g_ptr_array_add(rig->plan->targets, target);
	}
}

static void tear_down(Rig *rig, gconstpointer data)
{
	sf_service_manager_free(rig->manager);
	sf_plan_free(rig->plan);
	close(rig->socket);
	g_unlink(rig->path);
	g_rmdir(rig->folder);
	g_free(rig->path);
	g_free(rig->folder);
	g_unsetenv("NOTIFY_SOCKET");
}

/* (transfer full) (nullable): the next text, with " +fd" where a descriptor came along; %NULL where
 * there is none. */
static char *hear(const Rig *rig)
{
	char text[256], control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {text, sizeof(text)};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	ssize_t len = recvmsg(rig->socket, &header, MSG_CMSG_CLOEXEC);

	if (len < 0)
		return NULL;
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	if (rights)
		close(*(int *)CMSG_DATA(rights));
	return g_strdup_printf("%.*s%s", (int)len, text, rights ? " +fd" : "");
}

static void assert_hears(const Rig *rig, const char *expected)
{
	g_autofree char *text = hear(rig);

	g_assert_cmpstr(text, ==, expected);
}

/* Runs the main loop until something comes. */
static void assert_hears_later(const Rig *rig, const char *expected)
{
	char *text;

	while (!(text = hear(rig)))
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpstr(text, ==, expected);
	g_free(text);
}

/* Until it has room for nothing more. */
static void fill(const Rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, rig->path);
	while (sendto(fd, FILLING, strlen(FILLING), MSG_DONTWAIT, (struct sockaddr *)&address,
		      sizeof(address)) >= 0)
		;
	g_assert_cmpint(errno, ==, EAGAIN);
	close(fd);
}

static void drain(const Rig *rig)
{
	char *text;

	while ((text = hear(rig))) {
		g_assert_cmpstr(text, ==, FILLING);
		g_free(text);
	}
}

static bool is_idle(const Rig *rig)
{
	return g_main_context_find_source_by_user_data(NULL, rig->manager) == NULL;
}

static char *put_text(int minor)
{
	return g_strdup_printf("FDSTORE=1\nFDPOLL=0\nFDNAME=frozen-8-%d +fd", minor);
}

static char *forget_text(int minor)
{
	return g_strdup_printf("FDSTOREREMOVE=1\nFDNAME=frozen-8-%d", minor);
}

static void test_watch(Rig *rig, gconstpointer data)
{
	sf_service_manager_set_watch(rig->manager, true);
	sf_service_manager_set_watch(rig->manager, true);
	assert_hears(rig, "WATCHDOG_USEC=20000000");
	assert_hears(rig, NULL);
	assert_hears_later(rig, "WATCHDOG=1");
	assert_hears_later(rig, "WATCHDOG=1");
	sf_service_manager_set_watch(rig->manager, false);
	assert_hears(rig, "WATCHDOG_USEC=0");
	g_assert_true(is_idle(rig));
}

static void test_keep(Rig *rig, gconstpointer data)
{
	sf_service_manager_keep(rig->manager, rig->plan);
	for (int i = 0; i < TARGETS; i++) {
		g_autofree char *text = put_text(i);
		assert_hears(rig, text);
	}
	sf_service_manager_drop(rig->manager, rig->plan);
	for (int i = 0; i < TARGETS; i++) {
		g_autofree char *text = forget_text(i);
		assert_hears(rig, text);
	}
	g_assert_true(is_idle(rig));
}

static void test_full_is_told_later(Rig *rig, gconstpointer data)
{
	fill(rig);
	sf_service_manager_set_watch(rig->manager, true);
	sf_service_manager_keep(rig->manager, rig->plan);
	drain(rig);
	assert_hears_later(rig, "WATCHDOG_USEC=20000000");
	for (int i = 0; i < TARGETS; i++) {
		g_autofree char *text = put_text(i);
		assert_hears(rig, text);
	}
	assert_hears(rig, "WATCHDOG=1");

	/* The watch must end, or the manager would kill an agent that rests. */
	fill(rig);
	sf_service_manager_set_watch(rig->manager, false);
	drain(rig);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "*had no room*");
	assert_hears_later(rig, "WATCHDOG_USEC=0");
	g_test_assert_expected_messages();
	g_assert_true(is_idle(rig));
}

static void test_without_descriptors_it_is_told_later(Rig *rig, gconstpointer data)
{
	struct rlimit before, none;

	g_assert_no_errno(getrlimit(RLIMIT_NOFILE, &before));
	none = before;
	none.rlim_cur = 0;
	sf_service_manager_set_watch(rig->manager, true);
	assert_hears(rig, "WATCHDOG_USEC=20000000");
	g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &none));
	sf_service_manager_set_watch(rig->manager, false);
	g_assert_no_errno(setrlimit(RLIMIT_NOFILE, &before));
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "*had no room*");
	assert_hears_later(rig, "WATCHDOG_USEC=0");
	g_test_assert_expected_messages();
	g_assert_true(is_idle(rig));
}

/* A descriptor that was not told of in time is closed by then, and its number another's. */
static void test_full_until_the_drop(Rig *rig, gconstpointer data)
{
	fill(rig);
	sf_service_manager_keep(rig->manager, rig->plan);
	sf_service_manager_drop(rig->manager, rig->plan);
	drain(rig);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "*had no room*");
	for (int i = 0; i < TARGETS; i++) {
		g_autofree char *text = forget_text(i);
		assert_hears_later(rig, text);
	}
	g_test_assert_expected_messages();
	g_assert_true(is_idle(rig));
}

/* One that went away is not waited for. */
static void test_gone(Rig *rig, gconstpointer data)
{
	g_unlink(rig->path);
	sf_service_manager_keep(rig->manager, rig->plan);
	sf_service_manager_drop(rig->manager, rig->plan);
	g_assert_true(is_idle(rig));
}

static void test_none(void)
{
	g_unsetenv("NOTIFY_SOCKET");
	g_autoptr(SfServiceManager) manager = sf_service_manager_new();

	sf_service_manager_set_watch(manager, true);
	g_assert_null(g_main_context_find_source_by_user_data(NULL, manager));
}

#define ADD(path, test) g_test_add(path, Rig, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/service-manager/watch", test_watch);
	ADD("/service-manager/keep", test_keep);
	ADD("/service-manager/full-is-told-later", test_full_is_told_later);
	ADD("/service-manager/without-descriptors-it-is-told-later",
	    test_without_descriptors_it_is_told_later);
	ADD("/service-manager/full-until-the-drop", test_full_until_the_drop);
	ADD("/service-manager/gone", test_gone);
	g_test_add_func("/service-manager/none", test_none);
	return g_test_run();
}
