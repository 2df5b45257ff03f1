/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* SIGINT, SIGTERM and SIGHUP as something to wait for instead of something that kills. Make it
 * before any thread, so that they inherit the mask. SIGPIPE is ignored from then on. */
typedef struct {
	int fd;
} SfSignals;

/* Without descriptors left, nothing is blocked and the signals kill, as they would anyway. */
void sf_signals_init(SfSignals *signals);

/**
 * sf_signals_wait:
 * @other_fd: something else to wait for until it can be read; -1: nothing
 * @timeout_ms: -1: without end
 *
 * Returns: whether a signal came; it is used up
 */
bool sf_signals_wait(SfSignals *signals, int other_fd, int64_t timeout_ms);
