/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-ssh-*: the keys that a user's files allow. A child becomes that user first, so that nothing
 * in the user's home can make root write or read somewhere else. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/freezer/capabilities.h"
#include "agent/ssh-keys.h"
#include "protocol/error.h"

#define TIMEOUT_MS 30000
/* The first byte of what the child says. */
#define GOOD '+'
#define BAD '-'

typedef enum { SSH_GET, SSH_ADD, SSH_REMOVE } SshAction;

typedef struct {
	SshAction action;
	const char *username;
	char **keys;
	bool reset;
} Request;

static const SfArgumentSpec get_arguments[] = {
	{"username", SF_ARGUMENT_STRING, false, NULL},
	{NULL},
};
static const SfArgumentSpec add_arguments[] = {
	{"username", SF_ARGUMENT_STRING, false, NULL},
	{"keys", SF_ARGUMENT_STRINGS, false, NULL},
	{"reset", SF_ARGUMENT_BOOLEAN, true, NULL},
	{NULL},
};
static const SfArgumentSpec remove_arguments[] = {
	{"username", SF_ARGUMENT_STRING, false, NULL},
	{"keys", SF_ARGUMENT_STRINGS, false, NULL},
	{NULL},
};

/* ---- in the child */

/* Looking users up may ask other machines. */
static const struct passwd *find_user(const char *name, GError **error)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		sf_throw(error, "failed to lookup user '%s'", name);
	return user;
}

static bool become(const struct passwd *user, GError **error)
{
	umask(077);
	if (user->pw_uid == geteuid() && user->pw_gid == getegid())
		return true;
	if (initgroups(user->pw_name, user->pw_gid) == 0 &&
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 &&
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0)
		return true;
	return sf_throw_errno(error, "become user '%s'", user->pw_name);
}

static char *get_keys(int home_fd, GError **error)
{
	g_auto(GStrv) keys = sf_ssh_keys_read(home_fd, error);

	return keys ? g_strjoinv("\n", keys) : NULL;
}

/* (transfer full) (nullable): what is answered */
static char *act(const Request *request, GError **error)
{
	const struct passwd *user;
	const char *const *keys = (const char *const *)request->keys;
	bool done;
	int home;

	/* Who looks a user up runs whatever the system's configuration names for that. */
	sf_capabilities_keep(SF_CAPABILITY(CAP_SETUID) | SF_CAPABILITY(CAP_SETGID));
	user = find_user(request->username, error);
	if (!user || !become(user, error))
		return NULL;
	home = open(user->pw_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home < 0) {
		sf_throw_errno(error, "open the home folder '%s'", user->pw_dir);
		return NULL;
	}
	if (request->action == SSH_GET)
		return get_keys(home, error);
	if (request->action == SSH_ADD)
		done = sf_ssh_keys_add(home, keys, request->reset, error);
	else
		done = sf_ssh_keys_remove(home, keys, error);
	return done ? g_strdup("") : NULL;
}

static void run_child(int fd, gpointer work_data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *answer = act(work_data, &error);
	const char *text = answer ? answer : error->message;
	char mark = answer ? GOOD : BAD;

	sf_errand_write(fd, &mark, 1);
	sf_errand_write(fd, text, strlen(text));
}

/* ---- in the agent */

/* (nullable): what the child answered */
static const char *find_answer(const char *text, bool is_whole, GError **error)
{
	if (is_whole && *text == GOOD)
		return text + 1;
	sf_throw(error, "%s",
		 is_whole && *text == BAD ? text + 1 : "the user's files do not answer");
	return NULL;
}

static void on_done(const GByteArray *output, bool is_whole, gpointer user_data)
{
	g_autofree char *text = sf_errand_text(output);
	g_autoptr(GError) error = NULL;

	if (find_answer(text, is_whole, &error))
		sf_answer_nothing(user_data);
	else
		sf_call_fail(user_data, error);
}

static void on_keys(const GByteArray *output, bool is_whole, gpointer user_data)
{
	g_autofree char *text = sf_errand_text(output);
	g_autoptr(GError) error = NULL;
	const char *found = find_answer(text, is_whole, &error);
	g_auto(GStrv) lines = found && *found ? g_strsplit(found, "\n", -1) : NULL;
	JsonObject *answer = NULL;

	if (found) {
		JsonArray *keys = json_array_new();

		for (char **line = lines; line && *line; line++)
			json_array_add_string_element(keys, *line);
		answer = json_object_new();
		json_object_set_array_member(answer, "keys", keys);
	}
	sf_answer_object(user_data, answer, error);
}

static void start(SfCall *call, const SfArguments *arguments, gpointer user_data, SshAction action)
{
	g_auto(GStrv) keys = sf_arguments_get_strings(arguments, "keys");
	Request request = {
		.action = action,
		.username = sf_arguments_get_string(arguments, "username"),
		.keys = keys,
		.reset = sf_arguments_get_boolean(arguments, "reset"),
	};
	g_autoptr(GError) error = NULL;

	if (action == SSH_ADD && !sf_ssh_keys_check((const char *const *)keys, &error))
		sf_call_fail(call, error);
	else
		sf_errand_start(((SfContext *)user_data)->errands, run_child, &request, TIMEOUT_MS,
				action == SSH_GET ? on_keys : on_done, call);
}

static void run_get(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	start(call, arguments, user_data, SSH_GET);
}

static void run_add(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	start(call, arguments, user_data, SSH_ADD);
}

static void run_remove(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	start(call, arguments, user_data, SSH_REMOVE);
}

const SfCommand sf_ssh_commands[] = {
	{.name = "guest-ssh-get-authorized-keys",
	 .arguments = get_arguments,
	 .profile = SF_PROFILE_FULL,
	 .run = run_get},
	{.name = "guest-ssh-add-authorized-keys",
	 .arguments = add_arguments,
	 .profile = SF_PROFILE_FULL,
	 .run = run_add},
	{.name = "guest-ssh-remove-authorized-keys",
	 .arguments = remove_arguments,
	 .profile = SF_PROFILE_FULL,
	 .run = run_remove},
	{NULL},
};
