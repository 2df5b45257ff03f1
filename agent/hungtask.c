/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's hung task detector, read anew for each freeze, since it can be set at any time.
 * Called by session. */
#include "config.h"

#include <glib.h>

#include "agent/hungtask.h"

/* Between our deadline and the detector's: the thaw must be over by then. */
#define MARGIN_S 5

static unsigned int read_setting(const char *proc, const char *name)
{
	g_autofree char *path = g_build_filename(proc, "sys/kernel", name, NULL);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	return (unsigned int)g_ascii_strtoull(text, NULL, 10);
}

unsigned int sf_hung_task_cap(const char *proc, unsigned int most_s)
{
	unsigned int limit_s = read_setting(proc, "hung_task_timeout_secs");

	if (limit_s == 0 || read_setting(proc, "hung_task_panic") == 0)
		return most_s;
	return MIN(most_s, limit_s > MARGIN_S ? limit_s - MARGIN_S : 1);
}
