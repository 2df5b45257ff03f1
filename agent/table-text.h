/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/mounts.h"

/* (transfer full) (nullable): all of a file that the kernel makes up, at most 64 MB; %NULL with
 * errno. */
GByteArray *sf_table_text_read(int fd);

/* The same for the own table, at most 512 MB. Read again, a few times, where the kernel says
 * (poll(2)) that it changed meanwhile: before Linux 5.8 a mount may be left out that stands behind
 * one that goes. */
GByteArray *sf_table_text_read_own(int fd);

/* Whether the kernel says (proc(5)) of an open mountinfo file that the table changed since it was
 * opened, or since the last call: it tells of a change once. */
bool sf_table_text_has_changed(int fd);

/* What another namespace's table holds, at a glance. */
typedef struct {
	bool is_of_interest;  /* a superblock on a disk or behind a network that the own table does
				 not show, or a mount that may hang */
	bool holds_anonymous; /* a filesystem on disks whose number is no disk's, or an overlay */
} SfTableGlance;

/**
 * sf_table_text_glance:
 * @text: a mountinfo file
 * @mounts: the own table, and what other namespaces' have added to it so far
 *
 * Most namespaces show nothing that the own one does not, but for pseudo filesystems: a look at
 * three words of each line spares taking the whole table apart.
 */
SfTableGlance sf_table_text_glance(const GByteArray *text, const SfMounts *mounts);

/* Whether a superblock that only another namespace shows is worth mentioning. */
bool sf_table_text_is_kind_of_interest(SfFsKind kind);
