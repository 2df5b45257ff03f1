/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/ssh-keys: a user's authorized_keys, and what a user may have put in its place. */
#include "config.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ssh-keys.h"

#define ONE "ssh-ed25519 AAAA1 one@host"
#define TWO "ssh-rsa AAAA2"

typedef struct {
	char *home, *folder, *file;
	int fd;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->home = g_dir_make_tmp("snapfreeze-XXXXXX", NULL);
	fixture->folder = g_build_filename(fixture->home, ".ssh", NULL);
	fixture->file = g_build_filename(fixture->folder, "authorized_keys", NULL);
	fixture->fd = open(fixture->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(fixture->fd, >=, 0);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	close(fixture->fd);
	g_unlink(fixture->file);
	g_rmdir(fixture->folder);
	g_unlink(fixture->folder);
	g_rmdir(fixture->home);
	g_free(fixture->file);
	g_free(fixture->folder);
	g_free(fixture->home);
}

static void assert_add(Fixture *fixture, bool reset, const char *first, const char *second)
{
	const char *keys[] = {first, second, NULL};
	g_autoptr(GError) error = NULL;

	g_assert_true(sf_ssh_keys_add(fixture->fd, keys, reset, &error));
	g_assert_no_error(error);
}

static void assert_file(Fixture *fixture, const char *expected)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(fixture->file, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, expected);
}

static void test_add(Fixture *fixture, gconstpointer data)
{
	g_auto(GStrv) keys = NULL;
	struct stat info;

	g_assert_null(sf_ssh_keys_read(fixture->fd, NULL));
	assert_add(fixture, false, ONE, NULL);
	assert_file(fixture, ONE "\n");
	assert_add(fixture, false, TWO, TWO);
	assert_file(fixture, ONE "\n" TWO "\n");
	g_assert_cmpint(stat(fixture->folder, &info), ==, 0);
	g_assert_cmpint(info.st_mode & 07777, ==, 0700);
	g_assert_cmpint(stat(fixture->file, &info), ==, 0);
	g_assert_cmpint(info.st_mode & 07777, ==, 0600);
	/* What else stands there stays, and is no key. */
	g_assert_true(
		g_file_set_contents(fixture->file, "# mine\n\n  " ONE "  \nno end", -1, NULL));
	assert_add(fixture, false, ONE, TWO);
	assert_file(fixture, "# mine\n\n  " ONE "  \nno end\n" TWO "\n");
	keys = sf_ssh_keys_read(fixture->fd, NULL);
	g_assert_cmpuint(g_strv_length(keys), ==, 3);
	g_assert_cmpstr(keys[0], ==, ONE);
	assert_add(fixture, true, TWO, NULL);
	assert_file(fixture, TWO "\n");
}

static void test_remove(Fixture *fixture, gconstpointer data)
{
	const char *keys[] = {ONE, "ssh-rsa none", NULL};

	g_assert_true(sf_ssh_keys_remove(fixture->fd, keys, NULL));
	g_assert_false(g_file_test(fixture->folder, G_FILE_TEST_EXISTS));
	g_assert_cmpint(g_mkdir(fixture->folder, 0700), ==, 0);
	g_assert_true(sf_ssh_keys_remove(fixture->fd, keys, NULL));
	g_assert_true(g_file_set_contents(fixture->file, "# mine\n" ONE "\n" TWO "\n", -1, NULL));
	g_assert_true(sf_ssh_keys_remove(fixture->fd, keys, NULL));
	assert_file(fixture, "# mine\n" TWO "\n");
}

static void assert_refused(Fixture *fixture)
{
	const char *keys[] = {ONE, NULL};

	g_assert_null(sf_ssh_keys_read(fixture->fd, NULL));
	g_assert_false(sf_ssh_keys_add(fixture->fd, keys, false, NULL));
	g_assert_false(sf_ssh_keys_remove(fixture->fd, keys, NULL));
}

static void test_links(Fixture *fixture, gconstpointer data)
{
	g_autofree char *elsewhere = g_dir_make_tmp("snapfreeze-XXXXXX", NULL);
	g_autofree char *target = g_build_filename(elsewhere, "authorized_keys", NULL);
	g_autofree char *text = NULL;

	g_assert_true(g_file_set_contents(target, "secret\n", -1, NULL));
	g_assert_cmpint(symlink(elsewhere, fixture->folder), ==, 0);
	assert_refused(fixture);
	g_unlink(fixture->folder);
	g_assert_cmpint(g_mkdir(fixture->folder, 0700), ==, 0);
	g_assert_cmpint(symlink(target, fixture->file), ==, 0);
	assert_refused(fixture);
	g_unlink(fixture->file);
	/* Nobody is to be kept waiting. */
	g_assert_cmpint(mkfifo(fixture->file, 0600), ==, 0);
	assert_refused(fixture);
	g_assert_true(g_file_get_contents(target, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "secret\n");
	g_unlink(target);
	g_rmdir(elsewhere);
}

static void test_check(Fixture *fixture, gconstpointer data)
{
	static const char *const bad[] = {"# x",        "ssh-rsa", " ssh-rsa AAAA",
					  ONE "\n" TWO, "a b\r",   NULL};
	const char *keys[] = {ONE, TWO, NULL};

	g_assert_true(sf_ssh_keys_check(keys, NULL));
	keys[1] = "";
	g_assert_true(sf_ssh_keys_check(keys, NULL));
	for (size_t i = 0; bad[i]; i++) {
		g_autoptr(GError) error = NULL;

		keys[1] = bad[i];
		g_assert_false(sf_ssh_keys_check(keys, &error));
		g_assert_true(g_str_has_prefix(error->message, "invalid OpenSSH public key: "));
	}
}

/* What libvirt makes of a file's end. */
static void test_empty(Fixture *fixture, gconstpointer data)
{
	const char *keys[] = {ONE, "", NULL};

	assert_add(fixture, false, ONE, "");
	assert_file(fixture, ONE "\n");
	assert_add(fixture, true, TWO, "");
	assert_file(fixture, TWO "\n");
	g_assert_true(g_file_set_contents(fixture->file, ONE "\n\n" TWO "\n", -1, NULL));
	g_assert_true(sf_ssh_keys_remove(fixture->fd, keys, NULL));
	assert_file(fixture, "\n" TWO "\n");
}

#define ADD(name, function) \
	g_test_add("/ssh-keys/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("add", test_add);
	ADD("remove", test_remove);
	ADD("links", test_links);
	ADD("check", test_check);
	ADD("empty", test_empty);
	return g_test_run();
}
