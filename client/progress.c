/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows how far a copy is. snapshot.c calls it. */
#include "config.h"

#include <unistd.h>

#include "client/progress.h"

#define CELLS 40

static void draw(SfProgress *progress, double done)
{
	SfInvocation *invocation = progress->invocation;
	unsigned int cells = (unsigned int)(done * CELLS);

	g_string_append_printf(invocation->err, "\rcopying %3u%% ", (unsigned int)(done * 100));
	for (unsigned int i = 0; i < CELLS; i++)
		g_string_append(invocation->err, i >= cells              ? " "
						 : invocation->look.utf8 ? "█"
									 : "#");
	sf_invocation_flush(invocation);
	progress->is_drawn = true;
}

void sf_progress_show(SfProgress *progress, double done)
{
	unsigned int tenths = (unsigned int)(done * 10);

	if (isatty(STDERR_FILENO)) {
		draw(progress, done);
		return;
	}
	if (tenths <= progress->tenths || tenths >= 10)
		return;
	progress->tenths = tenths;
	sf_say(progress->invocation, "copied %u%%", tenths * 10);
}

void sf_progress_end(SfProgress *progress)
{
	if (progress->is_drawn)
		g_string_append_printf(progress->invocation->err, "\r%*s\r", CELLS + 14, "");
	sf_invocation_flush(progress->invocation);
}
