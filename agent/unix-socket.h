/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

/**
 * sf_unix_socket_listen:
 * @path: where; a socket that nobody listens on is replaced, anything else that is there is an
 * error and stays
 * @out_made: which file it is, for sf_unix_socket_unlink()
 * @error: domain %SF_ERROR
 *
 * Returns: a listening, non-blocking socket that only its owner can connect to, from its first
 * moment on; -1 on failure
 */
int sf_unix_socket_listen(const char *path, struct stat *out_made,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes the socket file where it is still the one that was made. */
void sf_unix_socket_unlink(const char *path, const struct stat *made);
