/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * sf_filter_keeps:
 * @include: (nullable): patterns; where there are any, one must match
 * @exclude: (nullable): patterns of which none may match
 * @superblock: of SfMount, all mounts of one superblock
 *
 * A pattern is a glob on mount points ('*' matches '/' too), "type:GLOB" or "device:GLOB".
 * In doubt a filesystem is frozen: any of its mount points includes it, but it is excluded only by
 * one where it is mounted as a whole, or by its first. A folder bound elsewhere takes nothing out.
 */
bool sf_filter_keeps(const char *const *include, const char *const *exclude,
		     const GPtrArray *superblock);
