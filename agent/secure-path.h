/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * sf_secure_path_check:
 * @path: absolute
 * @wants_folder: it must lead to a folder; else to an executable file
 * @error: domain %SF_ERROR: which step of the way others may change, or what is missing
 *
 * Walks @path as the kernel does, symbolic links included, and looks at every folder on the way and
 * at what it ends in: each must belong to root (or whom this process runs as) and be writable by
 * nobody else, a folder with the sticky bit excepted. Then only root can make @path lead elsewhere,
 * now or later, so that executing it by name is no race.
 */
bool sf_secure_path_check(const char *path, bool wants_folder,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
