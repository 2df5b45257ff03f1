/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/invocation.h"

/* A disk of the guest, and the file that its snapshot goes to. */
typedef struct {
	char *name;   /* as the host calls it: the drive, the device, or libvirt's target */
	char *node;   /* QEMU's name of the node that the guest writes to */
	char *image;  /* where it lies: a path, or what QEMU makes of it */
	char *format; /* of the image */
	int64_t size; /* in bytes, as the guest sees it; 0: not known */
	int64_t used; /* in bytes, of the image's file; 0: not known */
	char *target; /* (nullable) absolute path of the overlay or backup */
	char *tag;    /* (nullable) the name, in QEMU, of the node and the job that this run adds */
	bool is_open; /* QEMU has nodes of that name that are ours to take away */
	bool is_busy; /* a job of that name runs */
	bool is_made; /* the target's file is ours, made by this run: with these numbers */
	dev_t device;
	ino_t inode;
} SfDisk;

void sf_disk_free(SfDisk *disk);

/* (transfer full): an empty array of SfDisk, which it owns */
GPtrArray *sf_disks_new(void);

/**
 * sf_disks_from_qemu:
 * @blocks: what query-block returned
 * @out_left_out: (transfer full): a line for each disk that is not taken, with the reason
 *
 * Returns: (transfer full): every disk of which a snapshot can be taken: it has a medium, that the
 * guest can write to, and is no removable one and not the firmware's
 */
GPtrArray *sf_disks_from_qemu(JsonArray *blocks, GPtrArray **out_left_out);

/**
 * sf_disks_from_libvirt:
 * @xml: what virsh dumpxml printed
 *
 * The same of a domain. Errors: domain %SF_ERROR
 */
GPtrArray *sf_disks_from_libvirt(const char *xml, GPtrArray **out_left_out,
				 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * sf_disks_choose:
 * @wanted: (nullable): "NAME" or "NAME=FILE", as the user has it; %NULL: all, as they are
 *
 * Leaves those disks in @disks that are wanted, with the files that were named as targets.
 *
 * Returns: false where there is no such disk, it is named twice, or none is left; domain %SF_ERROR
 */
bool sf_disks_choose(GPtrArray *disks, char **wanted, GError **error) G_GNUC_WARN_UNUSED_RESULT;
