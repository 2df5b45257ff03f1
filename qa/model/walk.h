/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qa/model/world.h"

/* Walks every state that a variant reaches, breadth first, and looks for one that must not be. */

struct walk_result {
	unsigned int states, depth; /* reached; events on the longest shortest way */
	unsigned long events;       /* applied */
	const char *violation;      /* NULL: none */
	unsigned int length;        /* events that lead to it */
	bool is_cut;                /* there are more than @limit states */
	double seconds;
};

/* @limit: so many states at most; prints a counterexample where it finds one and @prints is set. */
struct walk_result walk(const struct variant *variant, unsigned int limit, bool prints);
