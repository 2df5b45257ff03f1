/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides whether only root can change what a path leads to. Scripts cannot be executed by a
 * descriptor (their interpreter opens them by name, and they look for others beside themselves), so
 * the whole way is checked instead of the file alone. Holds no state. Called by hook-list and
 * hooks.
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/secure-path.h"
#include "protocol/error.h"

#define MAX_LINKS 40 /* as the kernel's own (path_resolution(7)) */

typedef struct {
	GString *at; /* where the walk has come to, without links; "" is the root */
	unsigned int links;
} Walk;

static bool walk_along(Walk *walk, const char *path, GError **error);

static bool look(const char *path, struct stat *out_info, GError **error)
{
	if (lstat(*path ? path : "/", out_info) < 0)
		return sf_throw_errno(error, "look at '%s'", path);
	if (out_info->st_uid != 0 && out_info->st_uid != geteuid())
		return sf_throw(error, "'%s' belongs to user %u, not to root", path,
				(unsigned int)out_info->st_uid);
	return true;
}

static bool others_may_write(const struct stat *info)
{
	return info->st_mode & (S_IWGRP | S_IWOTH);
}

static bool check_folder(const char *path, bool may_be_sticky, GError **error)
{
	struct stat info;

	if (!look(path, &info, error))
		return false;
	if (!S_ISDIR(info.st_mode))
		return sf_throw(error, "'%s' is no folder", path);
	/* With the sticky bit nobody takes away or renames what is another's. */
	if (others_may_write(&info) && !(may_be_sticky && info.st_mode & S_ISVTX))
		return sf_throw(error, "others than root may write to '%s'", *path ? path : "/");
	return true;
}

static bool check_program(const char *path, GError **error)
{
	struct stat info;

	if (!look(path, &info, error))
		return false;
	if (!S_ISREG(info.st_mode))
		return sf_throw(error, "'%s' is no regular file", path);
	if (others_may_write(&info))
		return sf_throw(error, "others than root may write to '%s'", path);
	if (!(info.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return sf_throw(error, "'%s' is not executable", path);
	return true;
}

static void go_up(Walk *walk)
{
	const char *slash = strrchr(walk->at->str, '/');

	if (slash)
		g_string_truncate(walk->at, (gsize)(slash - walk->at->str));
}

static bool follow_link(Walk *walk, GError **error)
{
	g_autofree char *target = g_file_read_link(walk->at->str, NULL);

	if (!target || ++walk->links > MAX_LINKS)
		return sf_throw(error, "the link '%s' leads nowhere", walk->at->str);
	go_up(walk);
	return walk_along(walk, target, error);
}

static bool step(Walk *walk, const char *name, GError **error)
{
	struct stat info;

	if (!check_folder(walk->at->str, true, error))
		return false;
	g_string_append_printf(walk->at, "/%s", name);
	if (!look(walk->at->str, &info, error))
		return false;
	return S_ISLNK(info.st_mode) ? follow_link(walk, error) : true;
}

static bool walk_along(Walk *walk, const char *path, GError **error)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);

	if (*path == '/')
		g_string_truncate(walk->at, 0);
	for (char **name = names; *name; name++) {
		if (!**name || !strcmp(*name, "."))
			continue;
		if (!strcmp(*name, ".."))
			go_up(walk);
		else if (!step(walk, *name, error))
			return false;
	}
	return true;
}

bool sf_secure_path_check(const char *path, bool wants_folder, GError **error)
{
	Walk walk = {.links = 0};
	bool is_good;

	if (*path != '/')
		return sf_throw(error, "'%s' is no absolute path", path);
	walk.at = g_string_new(NULL);
	is_good = walk_along(&walk, path, error) &&
		  (wants_folder ? check_folder(walk.at->str, false, error)
				: check_program(walk.at->str, error));
	g_string_free(walk.at, TRUE);
	return is_good;
}
