/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/mounts.h"

/* The mount that one entry of the answer tells of. */
typedef struct {
	guint superblock; /* an index into @superblocks */
	guint end;        /* of its mount point within @text; it begins where the one before ends */
} SfFsinfoEntry;

/* What guest-get-fsinfo's answer takes from the mount table and from nothing else. */
typedef struct {
	SfMounts *mounts;
	GPtrArray *superblocks; /* of SfMount: the first mount of each */
	GPtrArray *paths;       /* of char* or NULL: where to ask each how full it is; not owned */
	GArray *entries;        /* of SfFsinfoEntry, in table order */
	GString *text;          /* the entries' mount points, each as a JSON string */
} SfFsinfoTable;

/* @mounts: (transfer full) */
SfFsinfoTable *sf_fsinfo_table_new(SfMounts *mounts);
SfFsinfoTable *sf_fsinfo_table_ref(SfFsinfoTable *table);
void sf_fsinfo_table_unref(SfFsinfoTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfFsinfoTable, sf_fsinfo_table_unref)
