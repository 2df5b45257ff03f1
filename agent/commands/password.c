/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-set-user-password: by chpasswd(8), which knows the system's method and files. */
#include "config.h"

#include <string.h>

#include "agent/base64.h"
#include "agent/commands/commands.h"
#include "agent/program.h"
#include "protocol/error.h"

#define TIMEOUT_MS 30000
/* More than any method makes of a password, and less than a pipe holds. */
#define MAX_LINE 4096

static const SfArgumentSpec password_arguments[] = {
	{"username", SF_ARGUMENT_STRING, false, NULL},
	{"password", SF_ARGUMENT_STRING, false, NULL},
	{"crypted", SF_ARGUMENT_BOOLEAN, false, NULL},
	{NULL},
};

typedef struct {
	const char *line;
	bool is_crypted;
} Request;

static bool change(const Request *request, GError **error)
{
	static const char *const paths[] = {"/usr/sbin/chpasswd", "/sbin/chpasswd", NULL};
	const char *argv[] = {sf_program_find(paths), request->is_crypted ? "-e" : NULL, NULL};

	if (!argv[0])
		return sf_throw(error, "there is no '%s'", paths[0]);
	return sf_program_run(argv, request->line, error);
}

/* In the child: says what failed, and nothing where nothing did. */
static void run_child(int fd, gpointer work_data)
{
	g_autoptr(GError) error = NULL;

	if (!change(work_data, &error))
		sf_errand_write(fd, error->message, strlen(error->message));
}

static void on_done(const GByteArray *output, bool is_whole, gpointer user_data)
{
	g_autofree char *text = sf_errand_text(output);
	g_autoptr(GError) error = NULL;

	if (is_whole && *text == '\0') {
		sf_answer_nothing(user_data);
		return;
	}
	sf_throw(&error, "%s", *text ? text : "the password is not changed within the time");
	sf_call_fail(user_data, error);
}

/* (transfer full) (nullable): "USER:PASSWORD" and a newline. Neither may bring a line of its own.
 */
static char *make_line(const char *username, GBytes *password, GError **error)
{
	gsize size;
	const char *data = g_bytes_get_data(password, &size);

	if (size > 0 && (memchr(data, '\n', size) || memchr(data, '\0', size))) {
		sf_throw(error, "forbidden characters in raw password");
		return NULL;
	}
	if (*username == '\0' || strpbrk(username, ":\n")) {
		sf_throw(error, "forbidden characters in username");
		return NULL;
	}
	if (strlen(username) + size > MAX_LINE - 2) {
		sf_throw(error, "user name and password are too long");
		return NULL;
	}
	return g_strdup_printf("%s:%.*s\n", username, (int)size, size > 0 ? data : "");
}

static void run_password(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) password =
		sf_base64_decode(sf_arguments_get_string(arguments, "password"), "password",
				 &error);
	g_autofree char *line = password ? make_line(sf_arguments_get_string(arguments, "username"),
						     password, &error)
					 : NULL;
	Request request = {line, sf_arguments_get_boolean(arguments, "crypted")};

	if (line)
		sf_errand_start(((SfContext *)user_data)->errands, run_child, &request, TIMEOUT_MS,
				on_done, call);
	else
		sf_call_fail(call, error);
}

const SfCommand sf_password_commands[] = {
	{.name = "guest-set-user-password",
	 .arguments = password_arguments,
	 .profile = SF_PROFILE_FULL,
	 .run = run_password},
	{NULL},
};
