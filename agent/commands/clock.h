/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <time.h>

/* Whether adjtime(5)'s text says that the hardware clock has local time. */
bool sf_clock_is_local(const char *adjtime);

/* What the hardware clock says at @now, and the other way; as wholes of a second. */
bool sf_clock_to_hardware(time_t now, bool is_local, struct tm *out_hardware);
bool sf_clock_from_hardware(const struct tm *hardware, bool is_local, time_t *out_now);
