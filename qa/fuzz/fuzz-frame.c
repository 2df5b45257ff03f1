/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol/frame: however the bytes are cut, the events are the same; after 0xFF the next message
 * is read whatever came before.
 *
 * The first line says how to cut (the low four bits of each byte: the length of a piece, less 1),
 * and where it begins with 's', that the limits are small. The rest is what the host sends. */
#include "config.h"

#include <string.h>

#include "qa/fuzz/fuzz.h"
#include "qa/unit/frame-log.h"

static const SfFrameLimits small_limits = {.max_bytes = 64, .max_tokens = 16, .max_depth = 4};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char end[] = "\xFF{}";
	const uint8_t *line_end = len > 0 ? memchr(data, '\n', len) : NULL;
	size_t n_cuts = line_end ? (size_t)(line_end - data) : 0;
	g_autofree uint8_t *cuts = g_malloc(MAX(n_cuts, 1));
	g_autoptr(GByteArray) input = g_byte_array_new();
	const SfFrameLimits *limits =
		n_cuts > 0 && data[0] == 's' ? &small_limits : &sf_frame_default_limits;
	g_autofree char *whole = NULL;
	g_autofree char *cut = NULL;

	for (size_t i = 0; i < n_cuts; i++)
		cuts[i] = data[i] & 15;
	if (line_end)
		g_byte_array_append(input, line_end + 1, (unsigned int)(len - n_cuts - 1));
	g_byte_array_append(input, (const uint8_t *)end, strlen(end));

	whole = sf_frame_log(limits, input->data, input->len, NULL, 0);
	cut = sf_frame_log(limits, input->data, input->len, cuts, n_cuts);
	g_assert_cmpstr(cut, ==, whole);
	g_assert_true(g_str_has_suffix(whole, "reset\nmessage {}\n"));
	return 0;
}
