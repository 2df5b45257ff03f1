/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* (transfer full) (nullable): what a host has encoded. Newlines and blanks within are skipped: some
 * encoders put them there. @name: of the argument, for the error. */
GBytes *sf_base64_decode(const char *text, const char *name, GError **error);
