/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* What a filesystem's type says about freezing it, and about what looking up a path on it may do.
 */
typedef enum {
	SF_FSKIND_LOCAL,       /* on block devices; the kernel may be able to freeze it */
	SF_FSKIND_MEMORY,      /* tmpfs and its like: holds files, but no disk */
	SF_FSKIND_PSEUDO,      /* no data of its own, or nothing that is known to lie on a disk */
	SF_FSKIND_AUTOFS,      /* looking up a path may wait for a daemon */
	SF_FSKIND_NETWORK,     /* looking up a path may wait for another machine */
	SF_FSKIND_FUSE,        /* looking up a path may wait for a process */
	SF_FSKIND_OVERLAY,     /* its data lies on another filesystem of this machine */
	SF_FSKIND_UNSUPPORTED, /* on disks, but the kernel has no freeze for it */
} SfFsKind;

/* @has_disk: whether its superblock's number is that of a block device (major not 0). */
SfFsKind sf_fskind(const char *fstype, bool has_disk);

/* Whether a path below a filesystem of this kind may block whoever looks it up, for ever. */
bool sf_fskind_is_remote(SfFsKind kind);
