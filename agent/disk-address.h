/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/**
 * sf_disk_address_new:
 * @sys: such as "/sys"
 * @udev: udev's database, such as "/run/udev/data"
 * @name: the kernel's name of a disk or partition, such as "vda1"
 *
 * Where a disk is plugged in: the members of GuestDiskAddress. What is not known is -1 in the PCI
 * address, "unknown" as the kind of bus, or left out.
 *
 * Returns: (transfer full) (nullable): %NULL for what is no disk of this machine: a device that
 * lies on others (dm, md, loop), or on nothing at all
 */
JsonObject *sf_disk_address_new(const char *sys, const char *udev, const char *name);

/* (transfer full): the path of a device's node, such as "/dev/cciss/c0d0". */
char *sf_disk_node(const char *name);
