/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/invocation.h"
#include "client/signals.h"

/* A freeze that this program made and will end. */
typedef struct {
	SfInvocation *invocation;
	SfClient *client; /* (nullable): NULL where the connection broke; owned by the caller */
	int64_t id;
	int64_t lease_ms;
} SfHold;

/**
 * sf_hold:
 *
 * Renews the lease until @hold_ms are over, a signal comes, or a renewal fails; then thaws and
 * tells how it went.
 */
SfExit sf_hold(SfHold *hold, SfSignals *signals, int64_t hold_ms);

/* Thaws and tells how it went. Signals that come meanwhile change nothing. */
SfExit sf_hold_thaw(SfHold *hold);
