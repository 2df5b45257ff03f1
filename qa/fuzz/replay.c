/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plain runner of a fuzzer: gives it each file of its corpus once, so that `make check` replays
 * what was ever found with any compiler. The corpus of replay-NAME is qa/fuzz/corpus-NAME; files
 * and folders named on the command line are taken instead. Prints TAP. */
#include "config.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qa/fuzz/fuzz.h"

static int n_files;

static void replay_file(const char *path)
{
	g_autofree char *contents = NULL;
	g_autofree uint8_t *exact = NULL;
	g_autoptr(GError) error = NULL;
	gsize len;

	if (!g_file_get_contents(path, &contents, &len, &error))
		g_error("%s", error->message);
	/* g_file_get_contents() adds a NUL, which would hide a read past the end. */
	exact = g_malloc(MAX(len, 1));
	memcpy(exact, contents, len);
	g_assert_cmpint(LLVMFuzzerTestOneInput(exact, len), ==, 0);
	printf("ok %d - %s\n", ++n_files, path);
	fflush(stdout);
}

static void replay(const char *path)
{
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	const char *name;

	if (!folder) {
		replay_file(path);
		return;
	}
	while ((name = g_dir_read_name(folder))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		replay_file(file);
	}
}

int main(int argc, char **argv)
{
	const char *top = g_getenv("top_srcdir");
	const char *name = strrchr(argv[0], '-');

	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc == 1 && name) {
		g_autofree char *corpus =
			g_strdup_printf("%s/qa/fuzz/corpus%s", top ? top : ".", name);
		replay(corpus);
	}
	/* An empty corpus is a lost one. */
	printf("1..%d\n", n_files);
	return n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
