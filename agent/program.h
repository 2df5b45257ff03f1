/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* (transfer none) (nullable): the first of @paths (ends with %NULL) that can be executed. */
const char *sf_program_find(const char *const *paths);

/**
 * sf_program_run:
 * @argv: its path and arguments; no shell sees them
 * @input: (nullable): what it reads, at most 4096 bytes
 * @error: domain %SF_ERROR: it cannot be started, or does not end with 0
 *
 * Runs a program to its end, without output and with nothing of the agent's. Only for the
 * work of an errand (errand.h), for it waits.
 */
bool sf_program_run(const char *const *argv, const char *input,
		    GError **error) G_GNUC_WARN_UNUSED_RESULT;
