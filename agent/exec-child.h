/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* What a host's program gets. All fds are close-on-exec and stay the caller's. */
typedef struct {
	const char *const *argv; /* the first is looked for in PATH */
	const char *const *envp;
	int in, out, err;
	int failed; /* gets the errno where the program cannot be started; closed where it is */
} SfExecChild;

/* Forks a process that becomes the program: its pid, or -1 with errno. */
pid_t sf_exec_child_fork(const SfExecChild *child);
