/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/blockdev.h"
#include "agent/mounts.h"

/* The filesystems that hold a block device's backing files, however deep below it. */
typedef struct {
	SfDevice device;
	GArray *holders; /* of SfDevice: superblocks that can be written, each once */
	bool is_hidden;  /* there may be others, which the kernel does not show */
	bool in_work;
} SfBacking;

typedef struct SfBackings SfBackings;

/* @dev: "/dev", where loop devices are asked for their file; all must outlive the object. */
SfBackings *sf_backings_new(const char *dev, const SfMounts *mounts, SfBlockdevs *blockdevs);
void sf_backings_free(SfBackings *backings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfBackings, sf_backings_free)

/* (transfer none): worked out once for each device. Never touches a path that may hang. */
const SfBacking *sf_backings_get(SfBackings *backings, SfDevice device);
