/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/link.h"
#include "client/signals.h"

/* Less than this cannot be renewed each second with time left to thaw. */
#define SF_LEASE_MIN_MS 2000
#define SF_LEASE_DEFAULT_MS 5000

/* A freeze that this program made and will end. */
typedef struct {
	SfLink *link;
	int64_t id;       /* -1: not known, or the agent is QEMU's own */
	int64_t lease_ms; /* 0: the agent is QEMU's own, which knows none */
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

/* When the lease should be renewed next, of sf_hold_now_ms(). */
int64_t sf_hold_next_ms(const SfHold *hold);
int64_t sf_hold_now_ms(void);

/* Renews the lease. Says why where that failed: the freeze is about to end, so thaw. */
bool sf_hold_renew(SfHold *hold);

/* Thaws by @command, the agent's own or QEMU's, and returns its answer. A broken connection is made
 * anew until the lease is over. */
JsonNode *sf_hold_thaw_by(SfHold *hold, const char *command,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
