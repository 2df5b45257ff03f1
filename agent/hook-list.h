/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What an administrator has set about hooks. */
typedef struct {
	const char *directory;     /* (nullable): hooks.d; need not exist */
	const char *fsfreeze_hook; /* (nullable): qemu-ga's; must exist */
	unsigned int timeout_s;    /* of each call of each hook */
	bool rehearse;             /* told to the hooks */
} SfHookSettings;

typedef struct {
	char *name; /* for people; the file's, but the whole path of qemu-ga's hook */
	char *path;
	bool is_session;
} SfHook;

/**
 * sf_hook_list_read:
 * @refused: (element-type utf8): a sentence for each that must not be run is added
 *
 * Looks at what there is and runs nothing. Left out without a word is what run-parts(8) and
 * packages leave out: hidden files, copies of editors and packagers, and *.disabled.
 *
 * Returns: (transfer full) (element-type SfHook): in the order of their freezes
 */
GPtrArray *sf_hook_list_read(const SfHookSettings *settings, GPtrArray *refused);

/* (transfer full): an empty list; and a hook for it. */
GPtrArray *sf_hook_list_new(void);
SfHook *sf_hook_new(const char *name, const char *path);

/* Whether a hook of that name or path is started once and stays: "*.session". */
bool sf_hook_is_session(const char *path);
