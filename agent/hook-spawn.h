/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* A hook's process, which waits for a byte on @go before it does anything; the end of file there
 * ends it. Our ends of its pipes do not block. */
typedef struct {
	pid_t pid;
	int pidfd;
	int in;     /* to its standard input; -1: that is /dev/null */
	int out;    /* from its standard output and error */
	int failed; /* from it the errno of what kept it from running */
	int go;
} SfHookSpawned;

/**
 * sf_hook_spawn:
 * @argv: the program's path first
 * @envp: all of its environment
 * @has_input: it hears us
 * @error: domain %SF_ERROR; no process is left then
 */
bool sf_hook_spawn(char *const *argv, char *const *envp, bool has_input, SfHookSpawned *out_spawned,
		   GError **error) G_GNUC_WARN_UNUSED_RESULT;
