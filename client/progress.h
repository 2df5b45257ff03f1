/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/invocation.h"

/* How far a copy is, on standard error: a bar on a terminal, else a line for each tenth. */
typedef struct {
	SfInvocation *invocation;
	unsigned int tenths; /* that have been told */
	bool is_drawn;       /* there is a bar on the terminal */
} SfProgress;

/* @done: from 0 to 1 */
void sf_progress_show(SfProgress *progress, double done);
/* Before anything else is written. */
void sf_progress_end(SfProgress *progress);
