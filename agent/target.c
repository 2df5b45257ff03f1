/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns targets: one superblock each, and the choice of the mounts it can be opened through.
 * Invariant: routes is not empty, and its first is mountpoint and mount_id. Called by plan.
 */
#include "config.h"

#include <unistd.h>

#include "agent/namespaces.h"
#include "agent/target.h"
#include "protocol/error.h"

enum {
	PART_OF_IT = 1, /* a folder, or perhaps a single file, bound there */
	DELETED = 2,
	BEHIND_AUTOFS = 4, /* already mounted there; still the daemon may be asked */
	NO_ROUTE = 8,
};

static void route_clear(gpointer data)
{
	SfRoute *route = data;

	g_free(route->path);
	sf_namespace_unref(route->space);
}

/* The lower the better. */
static int rate(const SfMount *mount)
{
	int rating = 0;

	if (!mount->visible || mount->is_behind_remote)
		return NO_ROUTE;
	if (!g_str_equal(mount->subtree, "/"))
		rating |= PART_OF_IT;
	if (mount->is_deleted)
		rating |= DELETED;
	if (mount->is_behind_autofs)
		rating |= BEHIND_AUTOFS;
	return rating;
}

static GArray *routes_new(void)
{
	GArray *routes = g_array_new(FALSE, FALSE, sizeof(SfRoute));

	g_array_set_clear_func(routes, route_clear);
	return routes;
}

static GArray *find_routes(const GPtrArray *superblock)
{
	GArray *routes = routes_new();

	for (int rating = 0; rating < NO_ROUTE; rating++)
		for (guint i = 0; i < superblock->len; i++) {
			const SfMount *mount = g_ptr_array_index(superblock, i);
			SfRoute route = {.mount_id = mount->id};

			if (rate(mount) != rating)
				continue;
			if (routes->len == SF_PLAN_MAX_ROUTES)
				return routes;
			route.path = g_strdup(mount->path);
			route.space = sf_namespace_ref(mount->space);
			g_array_append_val(routes, route);
		}
	return routes;
}

char *sf_target_spell(const SfNamespace *space, const char *path)
{
	if (!space)
		return g_strdup(path);
	return g_strconcat(space->process, "/root", g_str_equal(path, "/") ? "" : path, NULL);
}

static void use_first_route(SfTarget *target)
{
	const SfRoute *first = &g_array_index(target->routes, SfRoute, 0);

	target->mountpoint = g_strdup(first->path);
	target->mount_id = first->mount_id;
	target->space = sf_namespace_ref(first->space);
	target->name = sf_target_spell(first->space, first->path);
}

/* Takes @routes. */
static SfTarget *target_new(GArray *routes)
{
	SfTarget *target = g_new0(SfTarget, 1);

	target->routes = routes;
	target->devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	target->fd = -1;
	return target;
}

SfTarget *sf_target_new_empty(void)
{
	return target_new(routes_new());
}

SfTarget *sf_target_new(const GPtrArray *superblock, GError **error)
{
	const SfMount *first = g_ptr_array_index(superblock, 0);
	g_autoptr(GArray) routes = find_routes(superblock);
	SfTarget *target;

	if (routes->len == 0) {
		g_autofree char *name = sf_target_spell(first->space, first->path);

		sf_throw(error, "filesystem %u:%u ('%s') has no mount point that leads to it",
			 SF_DEVICE_MAJOR(first->device), SF_DEVICE_MINOR(first->device), name);
		return NULL;
	}
	target = target_new(g_steal_pointer(&routes));
	target->device = first->device;
	use_first_route(target);
	target->fstype = g_strdup(first->fstype);
	target->source = g_strdup(first->source);
	target->mountpoints = g_ptr_array_new_full(superblock->len, g_free);
	for (guint i = 0; i < superblock->len; i++) {
		const SfMount *mount = g_ptr_array_index(superblock, i);

		g_ptr_array_add(target->mountpoints, g_strdup(mount->path));
	}
	return target;
}

void sf_target_close(SfTarget *target)
{
	if (target->fd >= 0)
		close(target->fd);
	target->fd = -1;
}

void sf_target_free(SfTarget *target)
{
	sf_target_close(target);
	g_free(target->name);
	sf_namespace_unref(target->space);
	g_free(target->mountpoint);
	g_free(target->fstype);
	g_free(target->source);
	g_array_unref(target->routes);
	g_clear_pointer(&target->mountpoints, g_ptr_array_unref);
	g_array_unref(target->devices);
	g_free(target);
}
