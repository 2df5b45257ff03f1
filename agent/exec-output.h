/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* One stream of a program's output, read to its end even where no more of it is kept, so that the
 * program never waits for us. */
typedef struct {
	int fd; /* -1: closed, or never captured */
	guint source;
	GByteArray *data;
	bool is_truncated;
	gsize *kept; /* bytes of all programs */
	void (*closed)(gpointer user_data);
	gpointer user_data;
} SfExecOutput;

/* Reads @fd, which does not block, from the main loop; @closed is told of its end. With -1 it is
 * empty and closed. */
void sf_exec_output_init(SfExecOutput *output, int fd, gsize *kept, void (*closed)(gpointer),
			 gpointer user_data);
/* Reads no more; what is there stays. @closed is not told. */
void sf_exec_output_close(SfExecOutput *output);
void sf_exec_output_clear(SfExecOutput *output);
