/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/options: what a command line asks for, and which is none. */
#include "config.h"

#include <string.h>

#include "agent/options.h"
#include "protocol/error.h"

static void test_bad_command_lines(void)
{
	static const char *const lines[] = {"-x", "--nothing", "-m", "extra", "-v=1", "--path"};

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		char *argv[] = {(char *)"agent", (char *)lines[i], NULL};
		g_autoptr(GError) error = NULL;
		g_auto(SfOptions) options = {0};

		g_test_message("%s", lines[i]);
		g_assert_false(sf_options_parse(&options, 2, argv, &error));
		g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
	}
}

static SfAction action_of(const char *line)
{
	g_autofree char *whole = g_strconcat("agent ", line, NULL);
	g_auto(GStrv) argv = g_strsplit(whole, " ", -1);
	g_auto(SfOptions) options = {0};

	g_assert_true(sf_options_parse(&options, g_strv_length(argv), argv, NULL));
	return options.action;
}

static void test_actions(void)
{
	g_assert_cmpint(action_of("-v"), ==, SF_ACTION_RUN);
	g_assert_cmpint(action_of("--recover"), ==, SF_ACTION_RECOVER);
	g_assert_cmpint(action_of("--frozen"), ==, SF_ACTION_LIST_FROZEN);
	g_assert_cmpint(action_of("-vD"), ==, SF_ACTION_DUMP);
	g_assert_cmpint(action_of("--dump-conf"), ==, SF_ACTION_DUMP);
	g_assert_cmpint(action_of("-b help"), ==, SF_ACTION_LIST_COMMANDS);
	g_assert_cmpint(action_of("-a?"), ==, SF_ACTION_LIST_COMMANDS);
	g_assert_cmpint(action_of("-V"), ==, SF_ACTION_VERSION);
	g_assert_cmpint(action_of("-h"), ==, SF_ACTION_HELP);
	g_assert_cmpint(action_of("--help"), ==, SF_ACTION_HELP);
}

static void test_hook_value(void)
{
	char *attached[] = {(char *)"agent", (char *)"-vF/hook", (char *)"-r", NULL};
	char *alone[] = {(char *)"agent", (char *)"--fsfreeze-hook", (char *)"-p", (char *)"-x",
			 NULL};
	g_auto(SfOptions) first = {0};
	g_auto(SfOptions) second = {0};

	g_assert_true(sf_options_parse(&first, 3, attached, NULL));
	g_assert_cmpstr(first.fsfreeze_hook, ==, "/hook");
	g_assert_true(first.verbose && first.retry_path);
	g_assert_true(sf_options_parse(&second, 4, alone, NULL));
	g_assert_cmpstr(second.fsfreeze_hook, ==, "");
	/* A value may look like an option. */
	g_assert_cmpstr(second.path, ==, "-x");
}

static void test_help(void)
{
	g_autofree char *help = sf_options_help();
	static const char *const names[] = {
		"-m, --method",     "-p, --path",    "-t, --statedir",      "-c, --config",
		"-l, --logfile",    "-f, --pidfile", "-F, --fsfreeze-hook", "-b, --block-rpcs",
		"-a, --allow-rpcs", "-v, --verbose", "-d, --daemonize",     "-r, --retry-path",
		"-D, --dump-conf",  "-V, --version", "-h, --help",          "--rehearse",
		"--recover"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_nonnull(strstr(help, names[i]));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/options/bad-command-lines", test_bad_command_lines);
	g_test_add_func("/options/actions", test_actions);
	g_test_add_func("/options/hook-value", test_hook_value);
	g_test_add_func("/options/help", test_help);
	return g_test_run();
}
