/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns what a request's mount points mean. Called by plan. */
#include "config.h"

#include <string.h>

#include "agent/left-out.h"
#include "agent/named.h"
#include "agent/namespaces.h"
#include "protocol/error.h"

/* "//mnt/data/" -> "/mnt/data", as the mount table spells it. */
static char *normalize(const char *path)
{
	GString *text = g_string_new(NULL);

	for (; *path; path++)
		if (*path != '/' || text->len == 0 || text->str[text->len - 1] != '/')
			g_string_append_c(text, *path);
	if (text->len > 1 && text->str[text->len - 1] == '/')
		g_string_truncate(text, text->len - 1);
	return g_string_free(text, FALSE);
}

/* (nullable): "/proc/812/root/data": of the namespace of process 812. */
static const SfMount *find_through_process(const SfPlanSource *source, const SfMounts *mounts,
					   const char *path)
{
	g_autofree char *pid = NULL;
	size_t length = strlen(source->proc);
	const char *within;
	uint64_t inode;

	if (!g_str_has_prefix(path, source->proc) || path[length] != '/')
		return NULL;
	path += length + 1;
	pid = g_strndup(path, strspn(path, "0123456789"));
	within = path + strlen(pid);
	if (*pid == '\0' || !g_str_has_prefix(within, "/root"))
		return NULL;
	within += strlen("/root");
	if ((*within != '\0' && *within != '/') ||
	    !sf_namespaces_of_process(source->proc, pid, &inode))
		return NULL;
	return sf_namespaces_at_path(mounts, inode, *within ? within : "/");
}

/* What only other namespaces show comes last. @out_mount: %NULL where there is none. */
static bool find_elsewhere(const SfMounts *mounts, const char *path, const SfMount **out_mount,
			   GError **error)
{
	const SfMount *found = NULL;

	for (guint i = mounts->mounts->len; i > 0; i--) {
		const SfMount *mount = g_ptr_array_index(mounts->mounts, i - 1);

		if (!mount->space)
			break;
		if (!mount->visible || !g_str_equal(mount->path, path))
			continue;
		if (found && found->device != mount->device)
			return sf_throw(error,
					"'%s' is a mount point in several namespaces: name "
					"'%s/root%s' or '%s/root%s'",
					path, mount->space->process, path, found->space->process,
					path);
		found = mount;
	}
	*out_mount = found;
	return true;
}

static bool find_mount(const SfPlanSource *source, const SfMounts *mounts, const char *path,
		       const SfMount **out_mount, GError **error)
{
	*out_mount = sf_mounts_topmost(sf_mounts_at_path(mounts, path));
	if (!*out_mount)
		*out_mount = find_through_process(source, mounts, path);
	return *out_mount || find_elsewhere(mounts, path, out_mount, error);
}

static bool name_one(const SfPlanSource *source, const SfMounts *mounts, const char *path,
		     GHashTable *named, GError **error)
{
	g_autofree char *normal = normalize(path);
	const SfMount *mount;
	const GPtrArray *superblock;
	SfLeftOutReason reason;

	if (!find_mount(source, mounts, normal, &mount, error))
		return false;
	superblock = mount ? sf_mounts_of_device(mounts, mount->device) : NULL;
	if (!superblock)
		return sf_throw(error, "'%s' is not a mount point", path);
	if (sf_left_out_find_reason(source, superblock, &reason))
		return sf_throw(error, "'%s' cannot be frozen: %s", path,
				sf_left_out_reason_text(reason));
	g_hash_table_add(named, (gpointer)&mount->device);
	return true;
}

GHashTable *sf_named_find(const SfPlanSource *source, const SfMounts *mounts,
			  const char *const *paths, GError **error)
{
	g_autoptr(GHashTable) named = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (; *paths; paths++)
		if (!name_one(source, mounts, *paths, named, error))
			return NULL;
	return g_steal_pointer(&named);
}
