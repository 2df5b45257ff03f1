/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What the command line asks the program to do. */
typedef enum {
	SF_ACTION_RUN,
	SF_ACTION_RECOVER,       /* --recover: thaw by the record, then exit */
	SF_ACTION_LIST_FROZEN,   /* --frozen: print what the record calls frozen */
	SF_ACTION_DUMP,          /* -D: print the configuration in force, sf_config_dump() */
	SF_ACTION_LIST_COMMANDS, /* -b help, -a help: print the name of each command */
	SF_ACTION_VERSION,
	SF_ACTION_HELP, /* print sf_options_help() */
} SfAction;

/* The command line, read but not yet merged with a file. What was not given is NULL or false. */
typedef struct {
	SfAction action;
	gboolean verbose, daemonize, retry_path, rehearse;
	char *config; /* -c */
	char *method, *path, *statedir, *logfile, *pidfile;
	char *fsfreeze_hook;             /* "" where -F stood without a path */
	char **block_rpcs, **allow_rpcs; /* NULL-terminated, the comma lists already split */
} SfOptions;

/**
 * sf_options_parse:
 * @out_options: initialised in any case; clear with sf_options_clear()
 * @argc: as main() got it
 * @argv: as main() got it; not changed
 * @error: domain %SF_ERROR; for people
 *
 * Reads qemu-ga's options, under the letters and long names it has, and ours. A value may stand
 * within the same argument as its letter (-F/path), as getopt has it. Prints nothing, never exits.
 */
bool sf_options_parse(SfOptions *out_options, int argc, char **argv,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_options_clear(SfOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SfOptions, sf_options_clear)

/* (transfer full): the text of --help. */
char *sf_options_help(void);

/**
 * sf_split_commas:
 *
 * Returns: (transfer full): the parts of a comma list, trimmed, without empty ones,
 * NULL-terminated
 */
char **sf_split_commas(const char *list);
