/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/error: classes by code, errno's text, and that no format argument is lost. */
#include "config.h"

#include <errno.h>

#include "protocol/error.h"

static void test_class(void)
{
	g_autoptr(GError) missing =
		g_error_new_literal(SF_ERROR, SF_ERROR_COMMAND_NOT_FOUND, "no such command");
	g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_IO, "disk");

	g_assert_cmpstr(sf_error_class(missing), ==, "CommandNotFound");
	g_assert_cmpstr(sf_error_class(foreign), ==, "GenericError");
}

static void test_throw(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(sf_throw(&error, "%s of %d", "one", 2));
	g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
	g_assert_cmpstr(error->message, ==, "one of 2");
	g_assert_false(sf_throw(NULL, "nobody listens"));
}

static void test_throw_errno(void)
{
	g_autoptr(GError) error = NULL;

	errno = ENOSPC;
	g_assert_false(sf_throw_errno(&error, "write '%s'", "x"));
	g_assert_cmpstr(error->message, ==, "write 'x': No space left on device");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/error/class", test_class);
	g_test_add_func("/error/throw", test_throw);
	g_test_add_func("/error/throw-errno", test_throw_errno);
	return g_test_run();
}
