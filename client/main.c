/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program `snapfreeze`: the options before the sub-command, and the table of sub-commands. */
#include "config.h"

#include <locale.h>

#include "client/subcommand.h"

static const SfSubcommand subcommands[] = {
	{"plan", "What a freeze would freeze, in which order, and what not", sf_cmd_plan},
	{"status", "Whether something is frozen, and how the last freeze ended", sf_cmd_status},
	{"freeze", "Freeze filesystems, for a while or until told to thaw", sf_cmd_freeze},
	{"thaw", "Thaw, and tell whether the snapshot is consistent", sf_cmd_thaw},
	{"snapshot", "Take a consistent snapshot of a guest's disks, on the host", sf_cmd_snapshot},
	{"extend", "Let a freeze last longer", sf_cmd_extend},
	{"ping", "Measure how long the agent takes to answer", sf_cmd_ping},
	{"info", "The agent's version and commands", sf_cmd_info},
	{"call", "Send any command", sf_cmd_call},
};

static char *describe(void)
{
	GString *text = g_string_new("Talks to a guest agent, snapfreeze's or QEMU's own.\n\n"
				     "Commands (COMMAND --help tells more):");

	for (size_t i = 0; i < G_N_ELEMENTS(subcommands); i++)
		g_string_append_printf(text, "\n  %-8s %s", subcommands[i].name,
				       subcommands[i].summary);
	return g_string_free(text, FALSE);
}

static const SfSubcommand *find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(subcommands); i++) {
		if (g_str_equal(subcommands[i].name, name))
			return &subcommands[i];
	}
	return NULL;
}

static bool parse_common(SfInvocation *invocation, int *argc, char ***argv, bool *out_version,
			 GError **error)
{
	g_autofree char *description = describe();
	gboolean version = FALSE;
	const GOptionEntry entries[] = {
		{"version", 'V', 0, G_OPTION_ARG_NONE, &version, "Print the version and exit",
		 NULL},
		{NULL},
	};

	if (!sf_invocation_parse(invocation, "COMMAND [ARGUMENT...]", description, entries, true,
				 argc, argv, error))
		return false;
	*out_version = version;
	if (!version && *argc < 2) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "which command?");
		return false;
	}
	return true;
}

static SfExit run(SfInvocation *invocation, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL;
	const SfSubcommand *subcommand;
	bool version;

	if (!parse_common(invocation, &argc, &argv, &version, &error))
		return sf_fail(invocation, error);
	if (version) {
		g_string_append(invocation->out, PACKAGE_STRING "\n");
		return SF_EXIT_OK;
	}
	subcommand = find(argv[1]);
	if (!subcommand) {
		g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
			    "there is no command '%s'", argv[1]);
		return sf_fail(invocation, error);
	}
	name = g_strdup_printf("snapfreeze %s", subcommand->name);
	g_set_prgname(name);
	return subcommand->run(invocation, subcommand->summary, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	g_autoptr(SfInvocation) invocation = NULL;

	/* What the terminal shows, but numbers and words as documented everywhere. */
	setlocale(LC_CTYPE, "");
	g_set_prgname("snapfreeze");
	invocation = sf_invocation_new();
	return run(invocation, argc, argv);
}
