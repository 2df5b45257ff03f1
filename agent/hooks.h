/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/hook-list.h"
#include "agent/record.h"

/**
 * SfHooks: the hooks of one freeze at a time. Its promise: whatever was told to freeze, or may have
 * been, is told to thaw; the record knows it until then.
 */
typedef struct SfHooks SfHooks;

/* What one call of one hook came to. */
typedef struct {
	char *name;
	uint64_t ms;
	int status;    /* -1: none, since it still runs, was killed, or could not be started */
	char *trouble; /* (nullable): what went wrong */
} SfHookResult;

/* @error: (nullable): the hook that failed, by name. */
typedef void (*SfHooksDone)(const GError *error, gpointer user_data);
/* A session hook has ended before it was told to thaw: what it held is free. */
typedef void (*SfHooksLost)(const char *why, gpointer user_data);

/* @settings: copied; its strings, and @record, must outlive it. */
SfHooks *sf_hooks_new(const SfHookSettings *settings, SfRecord *record, SfHooksLost lost,
		      gpointer user_data);
/* Session hooks take it for their thaw; what is left of the others the record knows. */
void sf_hooks_free(SfHooks *hooks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfHooks, sf_hooks_free)

/* A new freeze: there is nothing to tell of hooks yet. */
void sf_hooks_forget(SfHooks *hooks);
/* Finds out which there are, and fails where one of them is refused. Runs nothing. @done is called
 * later. */
void sf_hooks_load(SfHooks *hooks, SfHooksDone done, gpointer user_data);
bool sf_hooks_are_loaded(const SfHooks *hooks);

/* Tells them to freeze, one after another, until all have or one has failed. @done is called later,
 * or, where there is none, at once. */
void sf_hooks_freeze(SfHooks *hooks, SfHooksDone done, gpointer user_data);
/* Ends either: @done is not called, no further hook is started, and the one that runs is killed. */
void sf_hooks_stop(SfHooks *hooks);
/* Whether each session hook still holds what it was to hold. */
bool sf_hooks_hold(const SfHooks *hooks);

/* Tells those in the record to thaw, in reverse, whoever had told them to freeze. @done is called
 * with no error, at once where there is none: what fails is told in the results and logged. */
void sf_hooks_thaw(SfHooks *hooks, SfHooksDone done, gpointer user_data);

/* Whether any has still to be told to thaw. */
bool sf_hooks_are_noted(const SfRecord *record);
/* (element-type SfHookResult): of the freeze and of the thaw that were last. */
const GPtrArray *sf_hooks_freezes(const SfHooks *hooks);
const GPtrArray *sf_hooks_thaws(const SfHooks *hooks);
