/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/mounts.h"

/**
 * sf_sysfs_read:
 * @folder: a folder of sysfs or procfs
 * @name: a small file in it, perhaps with folders before its name
 *
 * Returns: (transfer full) (nullable): at most 8 KB of it, without the last newline; %NULL where it
 * cannot be read
 */
char *sf_sysfs_read(const char *folder, const char *name);

/* Reads a "major:minor" from such a file. */
bool sf_sysfs_read_device(const char *folder, const char *name, SfDevice *out_device);

/* (transfer full): the names in a folder, without "." and ".."; empty where it cannot be read. */
GPtrArray *sf_sysfs_list(const char *folder);

/* (transfer full): of guint64, sorted: the N of those names in a folder that are @prefix and N. */
GArray *sf_sysfs_list_numbered(const char *folder, const char *prefix);

/* Writes to such a file; false with errno. May block where the kernel has to do much for it. */
bool sf_sysfs_write(const char *folder, const char *name, const char *text);
