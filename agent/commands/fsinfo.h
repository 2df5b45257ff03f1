/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "agent/commands/fsinfo-table.h"
#include "agent/plan.h"

/* The filesystems of guest-get-fsinfo's answer. */
typedef struct SfFsinfo SfFsinfo;

/* How full a filesystem is, in bytes. */
typedef struct {
	uint64_t used, total, total_privileged;
} SfFsinfoSpace;

/* (transfer full): everything but how full they are. @udev: such as "/run/udev/data". */
SfFsinfo *sf_fsinfo_new(SfFsinfoTable *table, const SfPlanSource *source, const char *udev);
void sf_fsinfo_free(SfFsinfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfFsinfo, sf_fsinfo_free)

/* For each superblock a path to ask statvfs(3) for, or NULL where there is none. */
const GPtrArray *sf_fsinfo_paths(const SfFsinfo *info);
void sf_fsinfo_set_space(SfFsinfo *info, guint superblock, const SfFsinfoSpace *space);

/* (transfer full): the answer as it is written on the wire. */
char *sf_fsinfo_write(const SfFsinfo *info);
