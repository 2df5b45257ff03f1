/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/host.h"
#include "client/qmp.h"

/**
 * sf_qemu_make_images:
 * @disks: with targets that are there as empty files
 * @stamp: what tells this run's names in QEMU from others
 * @wait_ms: for each answer
 * @error: domain %SF_ERROR or %SF_CLIENT_ERROR, with the file's name
 *
 * Has QEMU make an overlay of each disk, or a backup's target, which then is open under the disk's
 * tag. Nothing of it touches the disks. Where it fails, sf_qemu_close_images() takes back what QEMU
 * has open.
 */
bool sf_qemu_make_images(SfQmp *qmp, GPtrArray *disks, const SfWish *wish, const char *stamp,
			 unsigned int wait_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Has QEMU close the targets of backups, which writes what it still has of them in memory. */
bool sf_qemu_close_images(SfQmp *qmp, GPtrArray *disks, unsigned int wait_ms,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
