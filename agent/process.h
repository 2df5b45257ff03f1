/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Processes by handles that cannot be mistaken for a later process with the same pid
 * (pidfd_open(2), since Linux 5.3), and what /proc says of them.
 */

/* Returns: an fd that becomes readable when all threads of the process are gone; -1 with errno. */
int sf_process_open(pid_t pid);
bool sf_process_kill(int pidfd, int signal);
/* Start time in clock ticks since boot (proc(5), stat's field 22); 0 where there is no such
 * process. */
uint64_t sf_process_start_time(pid_t pid);
#define SF_PROCESS_STATE_UNKNOWN '?'
/* State letter of a thread (proc(5), stat's field 3): 'D', 'S', …; 0 where it is gone,
 * SF_PROCESS_STATE_UNKNOWN where that cannot be told (no descriptor is left, for one). */
char sf_process_thread_state(pid_t pid, pid_t tid);

/* (transfer full) (element-type pid_t): those that are called @comm and are not dead already. */
GArray *sf_process_find(const char *proc, const char *comm);

/**
 * sf_process_run_child:
 * @keep: (nullable) (array length=keep_count): fds that stay open in the child, -1 for none
 * @work: what the child does; its result is the exit status. Only async-signal-safe functions may
 * be called
 *
 * Forks a short-lived child for what may block for ever. Every other fd is closed in it: a child
 * that hangs must not keep the end of the freezer's socket open, by which the freezer knows of our
 * death.
 *
 * Returns: the child's pid, or -1 with errno
 */
pid_t sf_process_run_child(const int *keep, unsigned int keep_count, int (*work)(void *),
			   void *user_data);

/* Has a child reaped whenever it ends, for which nobody waits. Unlike GLib's own watch it never
 * starts a thread: one that comes before the agent gives up its capabilities keeps them all. */
void sf_process_reap(pid_t child);
