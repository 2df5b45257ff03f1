/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The fields of a line of /proc/PID/mountinfo (proc(5)), without their escapes. */
typedef struct {
	int id, parent;
	unsigned int major, minor;
	char *root, *target, *fstype, *source, *super_options;
} SfMountLine;

/* (transfer full) (nullable): all of such a file; NULL with errno. */
char *sf_mountinfo_read(const char *path);

/* How many lines there are, at most. */
guint sf_mountinfo_count(const char *text);

/* Takes the line at *@at, which is changed, and goes on to the next. @out_line points into it.
 * False: it is no line of such a file. */
bool sf_mountinfo_next(char **at, SfMountLine *out_line) G_GNUC_WARN_UNUSED_RESULT;

/* Whether a list of options, with commas between, has one of that name and no value. */
bool sf_mountinfo_has_option(const char *options, const char *name);
