/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/plan.h"

/* One attempt to open all targets of a plan. */
typedef struct SfOpener SfOpener;

/* @error: (nullable): %NULL where every target's fd is open; else none is. The opener is gone when
 * this returns. */
typedef void (*SfOpenerDone)(const GError *error, gpointer user_data);

/**
 * sf_opener_start:
 * @plan: its targets' fds are set; must live until @done or sf_opener_cancel()
 * @timeout_ms: for all of them together
 * @done: called once, from the main loop, never before this returns
 *
 * Opens each target through its mount point and checks that it leads to the superblock that was
 * planned. Opening may block for ever, so a child process does it; one that hangs is killed and
 * reaped whenever it dies. Needs a descriptor per target in this process.
 *
 * Returns: (transfer none) (not nullable): valid until @done is called
 */
SfOpener *sf_opener_start(SfPlan *plan, unsigned timeout_ms, SfOpenerDone done, gpointer user_data);

/* Gives up; @done is not called, and no fd stays open. */
void sf_opener_cancel(SfOpener *opener);
