/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * sf_parse_duration:
 * @text: "10", "10s", "500ms", "5m", "1h": digits and a unit; none means seconds
 * @out_ms: (out): milliseconds
 * @error: domain %G_OPTION_ERROR: no duration, or beyond a year
 */
bool sf_parse_duration(const char *text, int64_t *out_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* (transfer full): a duration for people: "0.88 ms", "66 ms", "1.2 s", "5 min", "1 h 5 min".
 * Negative ones and those beyond any calendar are bounded, not errors. */
char *sf_format_duration(double ms);

/**
 * sf_escape:
 * @text: UTF-8, from a mount table or an agent: anything may stand in it
 * @utf8: whether the terminal shows more than ASCII
 *
 * A terminal obeys escape sequences, hides zero-width characters and turns lines around at bidi
 * marks; whoever names a mount point could so write any screen. Everything that is not plainly
 * printable becomes \n, \t, \xNN or \u{NNNN}, a backslash becomes two.
 *
 * Returns: (transfer full): one line that is safe to print
 */
char *sf_escape(const char *text, bool utf8);

/* How many terminal columns @text, safe to print, takes. */
size_t sf_display_width(const char *text);
