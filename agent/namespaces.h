/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/mounts.h"
#include "agent/plan.h"

/* How many mount namespaces are looked at; each costs a descriptor. */
#define SF_NAMESPACES_MAX 4096

/* A mount namespace beside the own one, and a process that was seen in it. Counted: see
 * sf_namespace_ref(). */
struct SfNamespace {
	uint64_t inode; /* which it is: "mnt:[4026532177]" in the process's ns/mnt */
	pid_t pid;
	char *process; /* the folder of that process, such as "/proc/812" */
	char *command; /* its name, in valid UTF-8 */
};

SfNamespace *sf_namespace_new(uint64_t inode, pid_t pid, const char *process, const char *command);
SfNamespace *sf_namespace_ref(const SfNamespace *space);
void sf_namespace_unref(SfNamespace *space);

/* Whether both are the same namespace, whichever process shows it; %NULL is the own one. */
bool sf_namespace_equal(const SfNamespace *a, const SfNamespace *b);

/**
 * sf_namespaces_read:
 * @source: where to read
 * @error: domain %SF_ERROR: the own table cannot be read
 *
 * Reads the own mount table, and one of each other namespace that a process lives in. What only
 * others show is appended to the mounts, and lies in @by_device, with @space set; but for what
 * holds no data of its own (tmpfs, overlay, …). @by_path knows the own mounts only. What cannot be
 * read is no error: sf_namespaces_count_unread().
 *
 * Nothing is looked up on any filesystem but that of @source->proc, so nothing can hang.
 *
 * Returns: (transfer full) (nullable): free with sf_mounts_free()
 */
SfMounts *sf_namespaces_read(const SfPlanSource *source, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_namespaces_free(SfNamespaces *namespaces);

/* Which processes are asked for their namespace: all; or, where writers wait, those that have come
 * since the last look. One that was there and has left for a namespace of its own goes unseen. */
typedef enum { SF_PROCESSES_ALL, SF_PROCESSES_NEW } SfWhichProcesses;

/**
 * sf_namespaces_have_changed:
 *
 * Whether the table of another namespace, or which namespaces there are, may have changed since
 * sf_namespaces_read() or the last call.
 */
bool sf_namespaces_have_changed(const SfMounts *mounts, SfWhichProcesses which);

/* Of how many processes and namespaces the table could not be read. */
guint sf_namespaces_count_unread(const SfMounts *mounts);

/* Whether another namespace shows a filesystem that holds files on disks, and whose files do not
 * tell that it is theirs (btrfs, overlay). */
bool sf_namespaces_hold_anonymous(const SfMounts *mounts);

/* Whether any of the other tables has a mount that may hang at a folder above this path. */
bool sf_namespaces_may_hang(const SfMounts *mounts, const char *path);

/**
 * sf_namespaces_at_path:
 * @inode: of a namespace
 *
 * Returns: (nullable): what the path leads to there
 */
const SfMount *sf_namespaces_at_path(const SfMounts *mounts, uint64_t inode, const char *path);

/* The namespace that a process lives in; false where it has ended, or may not be asked. */
bool sf_namespaces_of_process(const char *proc, const char *pid, uint64_t *out_inode);
