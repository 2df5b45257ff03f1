/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/plan.h"

/* A folder that looks like a machine's mount table, /proc, /sys and /dev, made for one test. */
typedef struct {
	char *folder, *mountinfo, *proc, *sys, *dev;
	GHashTable *devices; /* name -> its folder, relative to sys */
	SfPlanSource source; /* points to all of them */
} FakeMachine;

/* @mountinfo: the lines of the table */
FakeMachine *fake_machine_new(const char *mountinfo);
void fake_machine_free(FakeMachine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeMachine, fake_machine_free)

/* A mount namespace of its own, and a disk "vda" with partitions from 253:1 to 253:@count. */
void fake_machine_add_vda(FakeMachine *machine, int count);

void fake_machine_mount(FakeMachine *machine, const char *mountinfo);

/* Writes a file, and the folders above it; @path is relative to the machine's folder. */
void fake_machine_write(FakeMachine *machine, const char *path, const char *text);
void fake_machine_link(FakeMachine *machine, const char *path, const char *target);

/* A disk: @number is "253:0", @bus the part of its path in /sys/devices
 * before "/block", or with a slash at its end where the kernel puts no "block" (NVMe). */
void fake_machine_disk(FakeMachine *machine, const char *name, const char *number, const char *bus);
void fake_machine_partition(FakeMachine *machine, const char *disk, const char *name,
			    const char *number);
/* @upper lies on @lower; both exist. */
void fake_machine_slave(FakeMachine *machine, const char *upper, const char *lower);
/* A loop device with its backing file. */
void fake_machine_loop(FakeMachine *machine, const char *name, const char *number,
		       const char *file);
/* A device that belongs to a btrfs. */
void fake_machine_btrfs(FakeMachine *machine, const char *uuid, const char *device);
/* A new content of a file of a device, such as "stat". */
void fake_machine_attribute(FakeMachine *machine, const char *device, const char *name,
			    const char *text);
