/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/blockdev.h"
#include "agent/mounts.h"

/* The block devices of one superblock. */
typedef struct {
	GArray *devices;  /* of SfDevice: those that are its own for sure */
	GArray *possible; /* of SfDevice: those that may be its journal; good for the order only */
	bool is_whole;    /* all are known */
} SfMembers;

/* What is known of all superblocks' devices, read once. */
typedef struct SfMembersIndex SfMembersIndex;

/* @proc, @sys, @mounts and @blockdevs must outlive the object. */
SfMembersIndex *sf_members_index_new(const char *proc, const char *sys, const SfMounts *mounts,
				     SfBlockdevs *blockdevs);
void sf_members_index_free(SfMembersIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfMembersIndex, sf_members_index_free)

/* (transfer full): the devices of the superblock that @mount belongs to. */
SfMembers *sf_members_find(SfMembersIndex *index, const SfMount *mount);
void sf_members_free(SfMembers *members);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfMembers, sf_members_free)

/* (nullable): the UUID of the btrfs that has this device, as /sys/fs/btrfs spells it. */
const char *sf_members_btrfs_uuid(SfMembersIndex *index, SfDevice device);
