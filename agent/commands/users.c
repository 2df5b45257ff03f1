/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-get-users: who is logged in, by utmp(5), which lies in memory. getutxent(3) is not used: it
 * waits for whoever holds a lock on the file. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <utmpx.h>

#include "agent/commands/commands.h"
#include "agent/commands/users.h"

#define UTMP "/run/utmp"
/* What follows in a larger file is not looked at. */
#define MAX_ENTRIES 16384

static void add_entry(JsonArray *users, GHashTable *known, const struct utmpx *entry)
{
	g_autofree char *name = g_strndup(entry->ut_user, sizeof(entry->ut_user));
	double login = entry->ut_tv.tv_sec + entry->ut_tv.tv_usec / 1e6;
	JsonObject *user = g_hash_table_lookup(known, name);

	if (!user) {
		user = json_object_new();
		json_object_set_string_member(user, "user", name);
		json_object_set_double_member(user, "login-time", login);
		json_array_add_object_element(users, user);
		g_hash_table_insert(known, g_steal_pointer(&name), user);
	} else if (login < json_object_get_double_member(user, "login-time")) {
		json_object_set_double_member(user, "login-time", login);
	}
}

JsonArray *sf_users_read(const char *path)
{
	JsonArray *users = json_array_new();
	g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct utmpx entry;

	if (fd < 0)
		return users;
	for (int i = 0; i < MAX_ENTRIES; i++) {
		if (read(fd, &entry, sizeof(entry)) != sizeof(entry))
			break;
		if (entry.ut_type == USER_PROCESS)
			add_entry(users, known, &entry);
	}
	close(fd);
	return users;
}

static void run_users(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	sf_answer_array(call, sf_users_read(UTMP), NULL);
}

const SfCommand sf_users_commands[] = {
	{.name = "guest-get-users", .profile = SF_PROFILE_STANDARD, .run = run_users},
	{NULL},
};
