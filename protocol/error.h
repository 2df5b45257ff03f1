/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * The error domain of everything that a host may be told. The codes are the wire's error classes
 * (QEMU guest agent protocol, "class" member of an error reply); the message is its "desc".
 */
#define SF_ERROR (sf_error_quark())
GQuark sf_error_quark(void);

typedef enum {
	SF_ERROR_GENERIC,           /* "GenericError" */
	SF_ERROR_COMMAND_NOT_FOUND, /* "CommandNotFound" */
} SfErrorCode;

/**
 * sf_error_class:
 * @error: an error of any domain; one of another domain than %SF_ERROR counts as generic
 *
 * Returns: (transfer none): the wire's name of the error's class
 */
const char *sf_error_class(const GError *error);

/**
 * sf_throw:
 * @error: return location
 * @format: printf format of the message
 *
 * Sets a %SF_ERROR_GENERIC error.
 *
 * Returns: always %false, so that a function can end with "return sf_throw(…)"
 */
bool sf_throw(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * sf_throw_errno:
 * @error: return location
 * @format: printf format of what was tried; ": " and errno's text are added
 *
 * Like sf_throw(), with the reason in errno (read before anything else is done).
 *
 * Returns: always %false
 */
bool sf_throw_errno(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
