/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/disk.h"

/**
 * sf_targets_name:
 * @backup: (nullable): the folder of the backups; %NULL: overlays, which go beside the images
 * @stamp: what tells this snapshot from others
 * @suffix: of the files' names, "qcow2" or "raw"
 *
 * Gives each disk an absolute path as its target: the one that the user named, or one of our own.
 */
bool sf_targets_name(GPtrArray *disks, const char *backup, const char *stamp, const char *suffix,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes every target as an empty file, of the image's owner and mode where that may be: what is
 * there already is never overwritten, and what was made here may be removed again. On failure none
 * is left. */
bool sf_targets_make(GPtrArray *disks, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes those that this run made. */
void sf_targets_remove(GPtrArray *disks);

/* Says where there is little room. @is_backup: the whole disks go there. */
void sf_targets_warn(SfInvocation *invocation, GPtrArray *disks, bool is_backup);

/* Takes what is at each target by now for made by this run: for who knows that nothing was there.
 */
void sf_targets_adopt(GPtrArray *disks);

/* The time, as it stands in the names of files that nobody named. (transfer full) */
char *sf_targets_stamp(void);
