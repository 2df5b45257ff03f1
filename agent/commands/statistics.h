/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

/* (transfer full) (nullable): the answers, from the kernel's counters. @proc: such as "/proc". */
JsonArray *sf_cpustats_read(const char *proc, GError **error);
JsonArray *sf_diskstats_read(const char *proc, GError **error);
