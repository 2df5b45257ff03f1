/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * model: walks the variants below, one TAP result each. HACKING.md says what that shows.
 *
 *   model                the short variants (make check)
 *   model --long         all of them
 *   model NAME…          these
 *   model --first        stops at the first violation, and prints its property alone (mutants)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qa/model/walk.h"

#define STATES_LIMIT 30000000u

static const struct variant variants[] = {
	{.name = "errors",
	 .about = "two filesystems side by side, two errors",
	 .count = 2,
	 .parallel = 2,
	 .budget = {.errors = 2, .freezes = 1, .thaws = 1}},
	{.name = "barrier",
	 .about = "three filesystems, the first a barrier, the last without freeze",
	 .count = 3,
	 .parallel = 2,
	 .barriers = 1,
	 .unsupported = 4,
	 .budget = {.errors = 1, .freezes = 1, .thaws = 1}},
	{.name = "two-faults",
	 .about = "one filesystem, any two faults",
	 .count = 1,
	 .parallel = 1,
	 .budget = {.faults = 2, .freezes = 1, .thaws = 1}},
	{.name = "hooks",
	 .about = "one filesystem, hooks, two faults",
	 .count = 1,
	 .parallel = 1,
	 .has_hooks = true,
	 .budget = {.faults = 2, .freezes = 1, .thaws = 1}},
	{.name = "limits",
	 .about = "one filesystem, limited dirty memory, two faults",
	 .count = 1,
	 .parallel = 1,
	 .has_limits = true,
	 .budget = {.faults = 2, .freezes = 1, .thaws = 1}},
	{.name = "next-freeze",
	 .about = "one filesystem, any two faults, a second freeze",
	 .count = 1,
	 .parallel = 1,
	 .budget = {.faults = 2, .freezes = 2}},
	{.name = "fault-and-errors",
	 .about = "one filesystem, a fault, two errors, SIGTERM",
	 .count = 1,
	 .parallel = 1,
	 .budget = {.faults = 1, .errors = 2, .freezes = 1, .thaws = 1, .stops = 1}},
	{.name = "edge",
	 .about = "two filesystems, one on the other, a fault",
	 .count = 2,
	 .parallel = 2,
	 .edges = 1,
	 .budget = {.faults = 1, .freezes = 1, .thaws = 1}},
	{.name = "accept-foreign",
	 .about = "two filesystems, frozen, thawed and written to by others, too",
	 .count = 2,
	 .parallel = 2,
	 .accept_foreign = true,
	 .budget = {.foreign = 2, .freezes = 1, .thaws = 1}},
	{.name = "foreign",
	 .about = "one filesystem, frozen, thawed and written to by others, a fault",
	 .count = 1,
	 .parallel = 1,
	 .budget = {.faults = 1, .foreign = 2, .freezes = 1, .thaws = 2}},
	{.name = "requests",
	 .about = "one filesystem, a fault, every request",
	 .count = 1,
	 .parallel = 1,
	 .budget = {.faults = 1,
		    .freezes = 1,
		    .thaws = 2,
		    .extends = 1,
		    .give_ups = 1,
		    .stops = 1,
		    .changes = 1}},
	{.name = "long-hooks",
	 .about = "one filesystem, hooks, limited dirty memory, two faults, a changed table",
	 .count = 1,
	 .parallel = 1,
	 .has_hooks = true,
	 .has_limits = true,
	 .is_long = true,
	 .budget = {.faults = 2, .freezes = 1, .thaws = 1, .give_ups = 1, .changes = 1}},
	{.name = "long-requests",
	 .about = "one filesystem, a fault, every request, two freezes",
	 .count = 1,
	 .parallel = 1,
	 .is_long = true,
	 .budget = {.faults = 1,
		    .freezes = 2,
		    .thaws = 2,
		    .extends = 1,
		    .give_ups = 1,
		    .stops = 1,
		    .changes = 1}},
	{.name = "long-faults",
	 .about = "one filesystem, any three faults, an error",
	 .count = 1,
	 .parallel = 1,
	 .is_long = true,
	 .budget = {.faults = 3, .errors = 1, .freezes = 1, .thaws = 1}},
	{.name = "long-pair",
	 .about = "two filesystems side by side, any two faults",
	 .count = 2,
	 .parallel = 2,
	 .is_long = true,
	 .budget = {.faults = 2, .freezes = 1, .thaws = 1}},
	{.name = "long-foreign",
	 .about = "two filesystems, a fault, and one by others",
	 .count = 2,
	 .parallel = 2,
	 .is_long = true,
	 .budget = {.faults = 1, .foreign = 1, .freezes = 1, .thaws = 1}},
	{.name = "long-barrier",
	 .about = "three filesystems, one after another, a barrier, an edge, a fault",
	 .count = 3,
	 .parallel = 1,
	 .barriers = 1,
	 .edges = 2,
	 .is_long = true,
	 .budget = {.faults = 1, .freezes = 1, .thaws = 1}},
};

static unsigned int number, failures;

static void tell(const struct variant *variant, const struct walk_result *result)
{
	bool is_good = !result->violation && !result->is_cut;

	failures += !is_good;
	printf("%sok %u - %s: %s\n", is_good ? "" : "not ", ++number, variant->name,
	       result->violation ? result->violation
	       : result->is_cut  ? "too many states"
				 : variant->about);
	printf("# %u states, %lu events, depth %u, %.1f s\n", result->states, result->events,
	       result->depth, result->seconds);
	fflush(stdout);
}

static bool is_named(const struct variant *variant, int argc, char **argv)
{
	bool is_any = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], variant->name) == 0 || strcmp(argv[i], "--long") == 0)
			return true;
		is_any |= argv[i][0] != '-';
	}
	return !is_any && !variant->is_long;
}

static bool has_option(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool is_first = has_option(argc, argv, "--first");

	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		if (!is_named(&variants[i], argc, argv))
			continue;
		struct walk_result result = walk(&variants[i], STATES_LIMIT, !is_first);
		if (is_first && result.violation) {
			printf("%s: %s, %u events\n", variants[i].name, result.violation,
			       result.length);
			return EXIT_FAILURE;
		}
		if (!is_first)
			tell(&variants[i], &result);
	}
	if (!is_first)
		printf("1..%u\n", number);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
