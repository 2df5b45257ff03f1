/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what is known by name about types of filesystems. A type that is not known counts as local
 * where its superblock lies on a block device, and as pseudo where not. Called by mounts and plan.
 */
#include "config.h"

#include <glib.h>

#include "agent/fskind.h"

/* Some of the network's have a number of their own that is no block device's: the name comes first.
 */
static const struct {
	const char *fstype;
	SfFsKind kind;
} known[] = {
	{"9p", SF_FSKIND_NETWORK},        {"afs", SF_FSKIND_NETWORK},
	{"aufs", SF_FSKIND_OVERLAY},      {"autofs", SF_FSKIND_AUTOFS},
	{"bcachefs", SF_FSKIND_LOCAL},    {"beegfs", SF_FSKIND_NETWORK},
	{"btrfs", SF_FSKIND_LOCAL},       {"ceph", SF_FSKIND_NETWORK},
	{"cifs", SF_FSKIND_NETWORK},      {"coda", SF_FSKIND_NETWORK},
	{"devtmpfs", SF_FSKIND_MEMORY},   {"ecryptfs", SF_FSKIND_OVERLAY},
	{"fuse", SF_FSKIND_FUSE},         {"fuseblk", SF_FSKIND_FUSE},
	{"gpfs", SF_FSKIND_NETWORK},      {"lustre", SF_FSKIND_NETWORK},
	{"ncpfs", SF_FSKIND_NETWORK},     {"nfs", SF_FSKIND_NETWORK},
	{"nfs4", SF_FSKIND_NETWORK},      {"orangefs", SF_FSKIND_NETWORK},
	{"overlay", SF_FSKIND_OVERLAY},   {"overlayfs", SF_FSKIND_OVERLAY},
	{"prl_fs", SF_FSKIND_NETWORK},    {"ramfs", SF_FSKIND_MEMORY},
	{"rootfs", SF_FSKIND_MEMORY},     {"smb3", SF_FSKIND_NETWORK},
	{"smbfs", SF_FSKIND_NETWORK},     {"tmpfs", SF_FSKIND_MEMORY},
	{"ubifs", SF_FSKIND_UNSUPPORTED}, {"vboxsf", SF_FSKIND_NETWORK},
	{"virtiofs", SF_FSKIND_NETWORK},  {"vmhgfs", SF_FSKIND_NETWORK},
	{"zfs", SF_FSKIND_UNSUPPORTED},
};

SfFsKind sf_fskind(const char *fstype, bool has_disk)
{
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (g_str_equal(fstype, known[i].fstype))
			return known[i].kind;
	/* "fuse.sshfs" and the like: the part behind the dot is the program's to choose. */
	if (g_str_has_prefix(fstype, "fuse."))
		return SF_FSKIND_FUSE;
	return has_disk ? SF_FSKIND_LOCAL : SF_FSKIND_PSEUDO;
}

bool sf_fskind_is_remote(SfFsKind kind)
{
	return kind == SF_FSKIND_NETWORK || kind == SF_FSKIND_FUSE;
}
