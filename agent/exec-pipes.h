/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/execs.h"

/* The ends of a program's pipes, [0] to read from and [1] to write to; -1: it is not there. Where
 * nothing is captured or given, the program's end is /dev/null. */
typedef struct {
	int in[2], out[2], err[2], failed[2];
} SfExecPipes;

void sf_exec_pipes_init(SfExecPipes *pipes);
/* Ours do not block, and all are close-on-exec. On failure some may be open: clear them. */
bool sf_exec_pipes_open(SfExecPipes *pipes, bool has_input, SfCapture capture,
			GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Closes what was not taken. */
void sf_exec_pipes_clear(SfExecPipes *pipes);
