/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <string.h>

#include "agent/footprint.h"
#include "qa/unit/memory.h"

/* In a segment that is read-only but for its relocations, and in one that is writable. */
static const char *const relocated[] = {"one", "two"};
static char written[3 * 4096] = "before";

static void test_gives_back_what_linking_touched(void)
{
	size_t before = resident_bytes(), after;

	sf_footprint_shrink();
	after = resident_bytes();
	/* Of GLib alone more than that was only needed to link it. */
	g_assert_cmpuint(after + 500 * 1024, <, before);
}

static void test_loses_nothing(void)
{
	g_autofree char *heap = g_strdup("heap");

	strcpy(written + sizeof(written) - 16, "changed");
	sf_footprint_shrink();
	g_assert_cmpstr(written, ==, "before");
	g_assert_cmpstr(written + sizeof(written) - 16, ==, "changed");
	g_assert_cmpstr(relocated[1], ==, "two");
	g_assert_cmpstr(heap, ==, "heap");
	g_assert_cmpstr(g_quark_to_string(g_quark_from_static_string("x")), ==, "x");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/footprint/gives-back-what-linking-touched",
			test_gives_back_what_linking_touched);
	g_test_add_func("/footprint/loses-nothing", test_loses_nothing);
	return g_test_run();
}
