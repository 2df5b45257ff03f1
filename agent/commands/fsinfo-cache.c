/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the mount table that is kept between two calls of guest-get-fsinfo: hosts ask every few
 * seconds, and to read ten thousand mounts takes longer than all the rest of the answer. Invariant:
 * a table is kept together with a descriptor that was opened before the table was read, and used
 * only while the kernel says on that descriptor that nothing has changed since. It goes after a
 * minute, so an idle agent holds nothing. For this report only: a freeze reads the table anew.
 * Called by disks.
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "agent/commands/fsinfo-cache.h"
#include "agent/table-text.h"

struct SfFsinfoCache {
	guint seconds;
	SfFsinfoTable *table; /* (nullable): none is kept */
	int watch;            /* the mount table's file; -1 without */
	guint timer;          /* 0 without */
};

SfFsinfoCache *sf_fsinfo_cache_new(guint seconds)
{
	SfFsinfoCache *cache = g_new0(SfFsinfoCache, 1);

	cache->seconds = seconds;
	cache->watch = -1;
	return cache;
}

static void drop(SfFsinfoCache *cache)
{
	g_clear_pointer(&cache->table, sf_fsinfo_table_unref);
	g_clear_handle_id(&cache->timer, g_source_remove);
	if (cache->watch >= 0)
		close(cache->watch);
	cache->watch = -1;
}

void sf_fsinfo_cache_free(SfFsinfoCache *cache)
{
	if (!cache)
		return;
	drop(cache);
	g_free(cache);
}

static gboolean on_time_over(gpointer user_data)
{
	SfFsinfoCache *cache = user_data;

	cache->timer = 0;
	drop(cache);
	return G_SOURCE_REMOVE;
}

static void keep(SfFsinfoCache *cache, SfFsinfoTable *table)
{
	cache->table = sf_fsinfo_table_ref(table);
	cache->timer = g_timeout_add_seconds(cache->seconds, on_time_over, cache);
}

SfFsinfoTable *sf_fsinfo_cache_get(SfFsinfoCache *cache, const char *mountinfo, GError **error)
{
	SfFsinfoTable *table;
	SfMounts *mounts;

	/* What it tells of, it tells of once: so that is dropped at once. */
	if (cache->table && !sf_table_text_has_changed(cache->watch))
		return sf_fsinfo_table_ref(cache->table);
	drop(cache);
	/* Before the table is read: what changes meanwhile has changed since. */
	cache->watch = open(mountinfo, O_RDONLY | O_CLOEXEC);
	mounts = sf_mounts_read(mountinfo, error);
	table = mounts ? sf_fsinfo_table_new(mounts) : NULL;
	if (table && cache->watch >= 0 && mounts->mounts->len >= SF_FSINFO_CACHE_MIN_MOUNTS)
		keep(cache, table);
	else
		drop(cache);
	return table;
}
