/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdio.h>
#include <unistd.h>

/* How much memory this process has in use, in bytes (statm's second number, proc(5)). */
static inline size_t resident_bytes(void)
{
	g_autofree char *statm = NULL;
	size_t size, resident;

	g_assert_true(g_file_get_contents("/proc/self/statm", &statm, NULL, NULL));
	g_assert_cmpint(sscanf(statm, "%zu %zu", &size, &resident), ==, 2);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}
