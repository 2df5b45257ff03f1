/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/mounts.h"

/* A block device as sysfs shows it. */
typedef struct {
	SfDevice device;
	char *name;          /* (nullable): the kernel's, such as "loop0p1" */
	GArray *below;       /* of SfDevice: the disk of a partition; what dm, md, bcache lie on */
	char *backing_file;  /* (nullable): a loop device's, as the kernel names it */
	bool backing_hidden; /* what it lies on is not shown, or the device is not known */
} SfBlockdev;

/* All that was read of sysfs so far: each device once. */
typedef struct SfBlockdevs SfBlockdevs;

/* @sys, @dev: such as "/sys" and "/dev"; must outlive the object. */
SfBlockdevs *sf_blockdevs_new(const char *sys, const char *dev);
void sf_blockdevs_free(SfBlockdevs *blockdevs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfBlockdevs, sf_blockdevs_free)

/* (transfer none) (not nullable): an unknown device is one whose backing is hidden. */
const SfBlockdev *sf_blockdevs_get(SfBlockdevs *blockdevs, SfDevice device);

/* Finds a device by the kernel's name for it, such as "vda1". */
bool sf_blockdevs_find_name(SfBlockdevs *blockdevs, const char *name, SfDevice *out_device);

/**
 * sf_blockdevs_find_path:
 * @path: as a mount table or an option names it, such as "/dev/mapper/vg-root"
 * @mounts: to tell whether looking @path up may hang
 *
 * By the kernel's name and device mapper's names; the node itself is looked at only where /dev is
 * in memory.
 */
bool sf_blockdevs_find_path(SfBlockdevs *blockdevs, const char *path, const SfMounts *mounts,
			    SfDevice *out_device);
