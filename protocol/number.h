/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stddef.h>

typedef enum {
	SF_NUMBER_OK,
	SF_NUMBER_INVALID,      /* not a number of JSON */
	SF_NUMBER_OUT_OF_RANGE, /* of a double */
} SfNumberResult;

/**
 * sf_number_normalize:
 * @text: its end, from @start on, is the number; it holds no NUL
 *
 * Leaves an integer of 64 bits as it is and writes every other number as a floating one, with a
 * point or an exponent. An integer beyond 64 bits thereby is of the wrong type for every argument,
 * as in QEMU; left as it is, json-glib would wrap it around to another integer.
 */
SfNumberResult sf_number_normalize(GString *text, size_t start);
