/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/snapshot.h"

/* Tells what was taken, where it lies, whether it is consistent, how long writers stood still, and
 * draws the time line; with --json one line of JSON. */
void sf_snapshot_report(SfInvocation *invocation, const SfSnapshot *snapshot);

/* Writes the time line as a picture. Says why where that cannot be. */
bool sf_snapshot_write_svg(SfInvocation *invocation, const SfSnapshot *snapshot, const char *path);
