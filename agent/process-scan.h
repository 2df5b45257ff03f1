/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A mount namespace, and the process through which it is best looked at: one whose root is the
 * namespace's, since a process in a jail is shown no more than its jail; else the first. */
typedef struct {
	uint64_t inode;
	pid_t pid;
} SfSeenNamespace;

/* @folder: an open folder of a process, or /proc; @path: "ns/mnt" below it. False with errno. */
bool sf_process_scan_inode(int folder, const char *path, uint64_t *out_inode);

/**
 * sf_process_scan:
 * @proc, @proc_fd: "/proc", and the same, open
 * @own: the namespace that does not matter
 * @after: (0: all) only processes that have come since sf_process_scan_last_pid() was this
 * @out_unread: how many processes could not be asked
 *
 * Asks each process for its mount namespace, once. One that ends meanwhile is passed over. Threads
 * are not asked: one may have a namespace of its own.
 *
 * Returns: (transfer full): of SfSeenNamespace, each namespace once, by its first process's pid
 */
GArray *sf_process_scan(const char *proc, int proc_fd, uint64_t own, pid_t after,
			guint *out_unread);

/* The pid that was given out last; 0 where that cannot be told. */
pid_t sf_process_scan_last_pid(const char *proc);
