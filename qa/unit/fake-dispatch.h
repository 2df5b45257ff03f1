/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/dispatch.h"

/* A stand-in for agent/dispatch, for tests of what stands before it. The command "now" is answered
 * at once with its id, "big" with a megabyte; "freeze" and all others wait for
 * fake_dispatch_answer. A "freeze" that is given up is answered with an error, as the real one
 * would be. */
struct SfDispatch {
	GPtrArray *calls;      /* of SfCall: those that wait, in the order of submission */
	GPtrArray *submitted;  /* of char*: "COMMAND" of all, "!" where the message was malformed */
	GPtrArray *channels;   /* of char*: the channel of each of them */
	unsigned int given_up; /* calls that were given up */
};

SfDispatch *fake_dispatch_new(void);
void fake_dispatch_free(SfDispatch *dispatch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfDispatch, fake_dispatch_free)

/* Answers the oldest call that waits with its command's name. */
void fake_dispatch_answer(SfDispatch *dispatch);
/* All that were submitted, joined by blanks. (transfer full) */
char *fake_dispatch_log(SfDispatch *dispatch);
