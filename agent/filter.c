/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns what the configuration's include and exclude mean. Called by plan only. */
#include "config.h"

#include <fnmatch.h>
#include <string.h>

#include "agent/filter.h"
#include "agent/mounts.h"

static bool matches_path(const char *pattern, const GPtrArray *superblock, bool whole_only)
{
	for (guint i = 0; i < superblock->len; i++) {
		const SfMount *mount = g_ptr_array_index(superblock, i);

		if (whole_only && i > 0 && !g_str_equal(mount->subtree, "/"))
			continue;
		if (fnmatch(pattern, mount->path, 0) == 0)
			return true;
	}
	return false;
}

static bool matches(const char *const *patterns, const GPtrArray *superblock, bool whole_only)
{
	const SfMount *first = g_ptr_array_index(superblock, 0);

	for (; *patterns; patterns++) {
		const char *pattern = *patterns;
		bool is_match;

		if (g_str_has_prefix(pattern, "type:"))
			is_match = fnmatch(pattern + strlen("type:"), first->fstype, 0) == 0;
		else if (g_str_has_prefix(pattern, "device:"))
			is_match = fnmatch(pattern + strlen("device:"), first->source, 0) == 0;
		else
			is_match = matches_path(pattern, superblock, whole_only);
		if (is_match)
			return true;
	}
	return false;
}

bool sf_filter_keeps(const char *const *include, const char *const *exclude,
		     const GPtrArray *superblock)
{
	if (include && *include && !matches(include, superblock, false))
		return false;
	return !exclude || !matches(exclude, superblock, true);
}
