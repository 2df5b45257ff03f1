/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The programs that hosts have started, until somebody has asked how they ended. At most 64, with
 * at most 64 MiB of output. */
typedef struct SfExecs SfExecs;

typedef enum {
	SF_CAPTURE_NONE,
	SF_CAPTURE_STDOUT,
	SF_CAPTURE_STDERR,
	SF_CAPTURE_SEPARATED,
	SF_CAPTURE_MERGED,
} SfCapture;

typedef struct {
	const char *const *argv;
	const char *const *envp;
	GBytes *input; /* (nullable): for its standard input; referenced */
	SfCapture capture;
} SfExecRequest;

/* How a program is doing. What points somewhere is the table's. */
typedef struct {
	bool has_exited;
	int status; /* as wait(2) has it */
	const GByteArray *out, *err;
	bool out_truncated, err_truncated;
} SfExecStatus;

/* @error: (nullable): %NULL: the program runs */
typedef void (*SfExecStarted)(pid_t pid, const GError *error, gpointer user_data);

SfExecs *sf_execs_new(void);
/* Leaves them running. Who still waits is not answered. */
void sf_execs_free(SfExecs *execs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfExecs, sf_execs_free)

/* Starts a program; @started is called once, when that has worked or not. No shell is involved. */
void sf_execs_start(SfExecs *execs, const SfExecRequest *request, SfExecStarted started,
		    gpointer user_data);

/* Whether @pid is one of them. @visit is told how it is doing; one that has exited is forgotten
 * then. */
bool sf_execs_ask(SfExecs *execs, int64_t pid,
		  void (*visit)(const SfExecStatus *status, gpointer user_data),
		  gpointer user_data);
