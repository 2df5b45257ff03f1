/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The error domain whose codes are the wire's classes, and the one-line ways to fail. */
#include "config.h"

#include <errno.h>

#include "protocol/error.h"

GQuark sf_error_quark(void)
{
	return g_quark_from_static_string("sf-error-quark");
}

const char *sf_error_class(const GError *error)
{
	if (g_error_matches(error, SF_ERROR, SF_ERROR_COMMAND_NOT_FOUND))
		return "CommandNotFound";
	return "GenericError";
}

bool sf_throw(GError **error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (error)
		*error = g_error_new_valist(SF_ERROR, SF_ERROR_GENERIC, format, arguments);
	va_end(arguments);
	return false;
}

bool sf_throw_errno(GError **error, const char *format, ...)
{
	int reason = errno;
	g_autofree char *tried = NULL;
	va_list arguments;

	va_start(arguments, format);
	tried = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, SF_ERROR, SF_ERROR_GENERIC, "%s: %s", tried, g_strerror(reason));
	return false;
}
