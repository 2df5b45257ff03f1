/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* All that the child needs between fork and exec, made before the fork. */
typedef struct {
	char *const *argv;
	char *const *envp;
	int in;     /* becomes its standard input */
	int out;    /* its standard output and error */
	int failed; /* takes the errno of what kept it from running */
	int go;     /* a byte here lets it run; the end of file tells it that its parent is dead */
	int go_end; /* the parent's end of that */
} SfHookChild;

/* Forks it. Returns: its pid, or -1 with errno. */
pid_t sf_hook_child_fork(const SfHookChild *child);
