/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "agent/mounts.h"
#include "agent/plan.h"

/* The disks that filesystems lie on, in the end. Each is read once. */
typedef struct SfDiskPlaces SfDiskPlaces;

/* @source, @mounts: must outlive it. @udev: as sf_disk_address_new() has it, the same. */
SfDiskPlaces *sf_disk_places_new(const SfPlanSource *source, const char *udev,
				 const SfMounts *mounts);
void sf_disk_places_free(SfDiskPlaces *places);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfDiskPlaces, sf_disk_places_free)

/* (transfer full): the addresses of the disks that @mount's superblock lies on, through dm, md,
 * bcache and loop devices; each once. Empty where none is known. */
JsonArray *sf_disk_places_find(SfDiskPlaces *places, const SfMount *mount);

/* (transfer full): the kernel's name of the device that @mount is of, such as "dm-0"; of several,
 * that which the mount table names. */
char *sf_disk_places_name(SfDiskPlaces *places, const SfMount *mount);
