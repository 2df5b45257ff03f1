/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/*
 * The keys of one user, in ~/.ssh/authorized_keys. Call them as that user, in a child: what the
 * user may not do is not done then, whatever the user has put there. @home_fd: the home folder. No
 * link is followed out of it.
 */

/* (transfer full) (nullable): the lines that are keys. Without such a file, an error. */
char **sf_ssh_keys_read(int home_fd, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Adds those that are not there yet; with @reset the others go. Makes folder and file. */
bool sf_ssh_keys_add(int home_fd, const char *const *keys, bool reset,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Without such a file there is nothing to remove. */
bool sf_ssh_keys_remove(int home_fd, const char *const *keys,
			GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether each is one line of a key, and no more; or empty, which stands for no key everywhere
 * here. */
bool sf_ssh_keys_check(const char *const *keys, GError **error) G_GNUC_WARN_UNUSED_RESULT;
