/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* @error: (nullable): why it was refused or failed; everything is thawed then (or says why it is
 * not). */
typedef void (*SfFreezeDone)(const GError *error, gpointer user_data);
/* @was_frozen: this thaw ended a freeze; the outcome is its. */
typedef void (*SfThawDone)(bool was_frozen, const GError *error, gpointer user_data);

/* Who waits for an answer of the session: one for the freeze, one for the extension, any number for
 * the thaw. */
typedef struct {
	SfFreezeDone freeze_done; /* NULL: nobody waits */
	gpointer freeze_data;
	SfFreezeDone extend_done;
	gpointer extend_data;
	GArray *thaws;
} SfWaiters;

void sf_waiters_init(SfWaiters *waiters);
/* Whoever still waits is not answered. */
void sf_waiters_clear(SfWaiters *waiters);

void sf_waiters_set_freeze(SfWaiters *waiters, SfFreezeDone done, gpointer user_data);
void sf_waiters_set_extend(SfWaiters *waiters, SfFreezeDone done, gpointer user_data);
void sf_waiters_add_thaw(SfWaiters *waiters, SfThawDone done, gpointer user_data);

/* Each answers whoever waits, and forgets them first: an answer may ask for something new. */
void sf_waiters_answer_freeze(SfWaiters *waiters, const GError *error);
void sf_waiters_answer_extend(SfWaiters *waiters, const GError *error);
void sf_waiters_answer_thaws(SfWaiters *waiters, bool was_frozen, const GError *error);
