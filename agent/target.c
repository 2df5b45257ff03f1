/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns targets: one superblock each, and the choice of the mounts it can be opened through.
 * Invariant: routes is not empty, and its first is mountpoint and mount_id. Called by plan.
 */
#include "config.h"

#include <unistd.h>

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

static GArray *find_routes(const GPtrArray *superblock)
{
	GArray *routes = g_array_new(FALSE, FALSE, sizeof(SfRoute));

	g_array_set_clear_func(routes, route_clear);
	for (int rating = 0; rating < NO_ROUTE; rating++)
		for (guint i = 0; i < superblock->len; i++) {
			const SfMount *mount = g_ptr_array_index(superblock, i);
			SfRoute route = {.mount_id = mount->id};

			if (rate(mount) != rating)
				continue;
			if (routes->len == SF_PLAN_MAX_ROUTES)
				return routes;
			route.path = g_strdup(mount->path);
			g_array_append_val(routes, route);
		}
	return routes;
}

SfTarget *sf_target_new(const GPtrArray *superblock, GError **error)
{
	const SfMount *first = g_ptr_array_index(superblock, 0);
	g_autoptr(GArray) routes = find_routes(superblock);
	SfTarget *target;

	if (routes->len == 0) {
		sf_throw(error, "filesystem %u:%u ('%s') has no mount point that leads to it",
			 SF_DEVICE_MAJOR(first->device), SF_DEVICE_MINOR(first->device),
			 first->path);
		return NULL;
	}
	target = g_new0(SfTarget, 1);
	target->device = first->device;
	target->root = g_strdup("/");
	target->mountpoint = g_strdup(g_array_index(routes, SfRoute, 0).path);
	target->mount_id = g_array_index(routes, SfRoute, 0).mount_id;
	target->routes = g_steal_pointer(&routes);
	target->fstype = g_strdup(first->fstype);
	target->source = g_strdup(first->source);
	target->devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	target->fd = -1;
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
	g_free(target->root);
	g_free(target->mountpoint);
	g_free(target->fstype);
	g_free(target->source);
	g_array_unref(target->routes);
	g_clear_pointer(&target->mountpoints, g_ptr_array_unref);
	g_array_unref(target->devices);
	g_free(target);
}
