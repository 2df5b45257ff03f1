/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "agent/hooks.h"

/* Real scripts in a folder of the test's own, each of which writes down what it was told. */

#define SAY "echo \"${0##*/} $1\" >> \"${0%/*}/../said\"\n"

typedef struct {
	char *folder, *directory, *said;
	SfHookSettings settings;
	SfRecord *record;
	SfHooks *hooks;
	GMainLoop *loop;
	bool is_done;
	char *failure, *loss;
	guint limit;
} Rig;

Rig *rig_new(void);
void rig_free(Rig *rig);
void rig_set_timeout(Rig *rig, unsigned int timeout_s);
void rig_on_done(const GError *error, gpointer user_data);
void rig_on_lost(const char *why, gpointer user_data);
/* (transfer full): the path of a script that was written. */
char *rig_add_file(const Rig *rig, const char *name, const char *script, int mode);
/* One that may be run. */
void rig_add(const Rig *rig, const char *name, const char *script);
void rig_wait_until_done(Rig *rig);
/* Finds the hooks. Returns: (nullable): the error's text, until the next. */
const char *rig_load(Rig *rig);
/* Finds them and has them freeze. Returns the same. */
const char *rig_freeze(Rig *rig);
void rig_thaw(Rig *rig);
/* What all of them were told so far. */
void rig_assert_said(const Rig *rig, const char *expected);
void rig_wait_until_said(const Rig *rig, const char *expected);
bool is_gone(pid_t pid);
const SfHookResult *result_at(const GPtrArray *results, guint index);
