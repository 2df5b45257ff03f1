/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/record.h"

/**
 * SfThrottle: limits dirty memory while a flush runs that would not come to an end: lowers
 * vm.dirty_bytes and vm.dirty_background_bytes in steps (agent/dirty-limit.h says which), and
 * restores them. What is to be restored stands in the record, so that the freezer and a later start
 * can do it as well.
 */
typedef struct SfThrottle SfThrottle;

typedef void (*SfThrottleDone)(gpointer user_data);

/**
 * sf_throttle_new:
 * @proc: where /proc is
 * @record: must outlive it
 * @is_enabled: false: never touches anything, and every flush is low enough at once
 */
SfThrottle *sf_throttle_new(const char *proc, SfRecord *record, bool is_enabled);
/* Restores first. */
void sf_throttle_free(SfThrottle *throttle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfThrottle, sf_throttle_free)

/* Begins to look on, for at most @timeout_ms, and limits where it must. */
void sf_throttle_begin(SfThrottle *throttle, uint64_t timeout_ms);
/* Calls @done, possibly before this returns, once a flush or a freeze will find little to write, or
 * as little as can be had in time. Goes on looking; the limits stay. */
void sf_throttle_wait(SfThrottle *throttle, SfThrottleDone done, gpointer user_data);
/* Looks on no more, and does not call done(); the limits stay until they are restored. */
void sf_throttle_stop(SfThrottle *throttle);
/* Stops, and restores what is lowered; does nothing where nothing is. */
void sf_throttle_restore(SfThrottle *throttle);

/* At a start, or for --recover: restores what an agent left lowered that died. */
void sf_throttle_recover(const char *proc, SfRecord *record);
