/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/freezer/record.h"

/**
 * SfHookProcess: one run of a hook, in a session and process group of its own, from its start until
 * it has ended. What it prints is kept, up to a bound, for the error's text.
 */
typedef struct SfHookProcess SfHookProcess;

typedef enum {
	SF_HOOK_RUNNING, /* has time until its deadline */
	SF_HOOK_QUIET,   /* a session hook that has said "frozen" and stays */
	SF_HOOK_ENDED,   /* or was given up, since even SIGKILL does not end it */
} SfHookState;

/* Called from the main loop at each change of its state; it may free the process. */
typedef void (*SfHookChanged)(SfHookProcess *process, gpointer user_data);

typedef struct {
	const char *path;
	const char *word; /* "freeze", "thaw"; "session": it is to say "frozen" and stay */
	unsigned int timeout_s;
	bool rehearse;
	struct sf_record_hook *note; /* (nullable): where its pid is noted before it runs */
	SfHookChanged changed;
	gpointer user_data;
} SfHookLaunch;

/**
 * sf_hook_process_start:
 * @launch: copied, but for @note, which must outlive the process
 * @error: domain %SF_ERROR: no process can be made
 *
 * Returns: (transfer full) (nullable): free with sf_hook_process_free()
 */
SfHookProcess *sf_hook_process_start(const SfHookLaunch *launch,
				     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * sf_hook_process_adopt:
 * @launch: with the note of an agent that is dead
 *
 * Returns: (transfer full) (nullable): that process, running; %NULL where it is gone
 */
SfHookProcess *sf_hook_process_adopt(const SfHookLaunch *launch);

/* What is not a session hook and still runs is killed; a session hook takes its end of file for the
 * thaw. */
void sf_hook_process_free(SfHookProcess *process);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfHookProcess, sf_hook_process_free)

/* Says "thaw" to a session hook, which has its time again to end. */
void sf_hook_process_release(SfHookProcess *process);
/* Kills its group; SF_HOOK_ENDED follows. */
void sf_hook_process_kill(SfHookProcess *process);

bool sf_hook_process_is_session(const SfHookProcess *process);
SfHookState sf_hook_process_state(const SfHookProcess *process);
/* Whether it has ended, though the main loop may not have told so yet. */
bool sf_hook_process_is_gone(const SfHookProcess *process);
/* The exit status; -1: it has none. */
int sf_hook_process_status(const SfHookProcess *process);
/* (transfer full) (nullable): what went wrong, with its output; %NULL: it ended well, or stays. */
char *sf_hook_process_explain(const SfHookProcess *process);
