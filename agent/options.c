/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: qemu-ga's options, and a few of ours. Owns nothing that lasts. It does not look
 * at any file; agent/config merges what it finds with one. Called by main, once.
 */
#include "config.h"

#include <string.h>

#include "agent/options.h"
#include "protocol/error.h"

/* What GOption fills in: the options, and the switches that become an action. */
typedef struct {
	SfOptions options;
	gboolean dump, version, help, recover, frozen;
	char **blocked, **allowed; /* as given, not split yet */
} Parse;

static void parse_clear(Parse *parse)
{
	sf_options_clear(&parse->options);
	g_strfreev(parse->blocked);
	g_strfreev(parse->allowed);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parse, parse_clear)

static gboolean take_hook(const char *name, const char *value, gpointer data, GError **error)
{
	Parse *parse = data;

	g_free(parse->options.fsfreeze_hook);
	parse->options.fsfreeze_hook = g_strdup(value ? value : "");
	return TRUE;
}

#define ENTRY_COUNT 21

static void fill_entries(GOptionEntry entries[ENTRY_COUNT], Parse *parse)
{
	SfOptions *o = &parse->options;
	const GOptionEntry filled[ENTRY_COUNT] = {
		{"method", 'm', 0, G_OPTION_ARG_STRING, &o->method,
		 "virtio-serial (default), isa-serial, unix-listen, vsock-listen", "METHOD"},
		{"path", 'p', 0, G_OPTION_ARG_FILENAME, &o->path,
		 "device, path of the socket, or CID:PORT", "PATH"},
		{"statedir", 't', 0, G_OPTION_ARG_FILENAME, &o->statedir,
		 "folder of the freeze record, on tmpfs", "DIR"},
		{"config", 'c', 0, G_OPTION_ARG_FILENAME, &o->config,
		 "configuration file to read instead of the installed one", "FILE"},
		{"logfile", 'l', 0, G_OPTION_ARG_FILENAME, &o->logfile,
		 "log to a file instead of standard error or syslog", "FILE"},
		{"pidfile", 'f', 0, G_OPTION_ARG_FILENAME, &o->pidfile,
		 "file for the process id, with --daemonize", "FILE"},
		{"fsfreeze-hook", 'F', G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, take_hook,
		 "program to run at freeze and thaw", "PATH"},
		{"block-rpcs", 'b', 0, G_OPTION_ARG_STRING_ARRAY, &parse->blocked,
		 "commands to refuse, separated by commas; help: print all", "LIST"},
		{"blacklist", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING_ARRAY, &parse->blocked,
		 NULL, "LIST"},
		{"allow-rpcs", 'a', 0, G_OPTION_ARG_STRING_ARRAY, &parse->allowed,
		 "the only commands to allow, separated by commas; help: print all", "LIST"},
		{"verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "log more", NULL},
		{"daemonize", 'd', 0, G_OPTION_ARG_NONE, &o->daemonize, "run in the background",
		 NULL},
		{"retry-path", 'r', 0, G_OPTION_ARG_NONE, &o->retry_path,
		 "wait for a missing device, open a lost one again", NULL},
		{"rehearse", 0, 0, G_OPTION_ARG_NONE, &o->rehearse,
		 "do everything but freeze and thaw", NULL},
		{"recover", 0, 0, G_OPTION_ARG_NONE, &parse->recover,
		 "thaw what an earlier run left frozen, then exit", NULL},
		{"frozen", 0, 0, G_OPTION_ARG_NONE, &parse->frozen,
		 "print where what an agent has frozen is mounted, then exit", NULL},
		{"dump-conf", 'D', 0, G_OPTION_ARG_NONE, &parse->dump,
		 "print the configuration in force, then exit", NULL},
		{"version", 'V', 0, G_OPTION_ARG_NONE, &parse->version,
		 "print the version, then exit", NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &parse->help, "print this, then exit", NULL},
		{NULL},
	};

	memcpy(entries, filled, sizeof(filled));
}

static GOptionContext *context_new(const GOptionEntry *entries, Parse *parse)
{
	GOptionContext *context = g_option_context_new(NULL);
	GOptionGroup *group = g_option_group_new("", "", "", parse, NULL);

	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_set_summary(context,
				     "A guest agent whose snapshots are consistent and whose "
				     "freezes always end.");
	g_option_group_add_entries(group, entries);
	g_option_context_set_main_group(context, group);
	return context;
}

static const GOptionEntry *find_entry(const GOptionEntry *entries, char letter,
				      const char *long_name)
{
	for (const GOptionEntry *entry = entries; entry->long_name; entry++)
		if (long_name ? !strcmp(entry->long_name, long_name) : entry->short_name == letter)
			return entry;
	return NULL;
}

static bool entry_takes_value(const GOptionEntry *entry)
{
	return entry->arg != G_OPTION_ARG_NONE;
}

static bool entry_value_is_optional(const GOptionEntry *entry)
{
	return entry->flags & G_OPTION_FLAG_OPTIONAL_ARG;
}

/* Appends "--name=value"; @attached is what stood in the same argument, @next the argument behind
 * it. An optional value is never the next argument, as with getopt. Returns whether @next was used.
 */
static bool append_option(GPtrArray *out, const GOptionEntry *entry, const char *attached,
			  const char *next)
{
	bool uses_next = !*attached && !entry_value_is_optional(entry) && next;

	if (!*attached && !entry_value_is_optional(entry) && !next)
		g_ptr_array_add(out, g_strdup_printf("--%s", entry->long_name));
	else
		g_ptr_array_add(out, g_strdup_printf("--%s=%s", entry->long_name,
						     uses_next ? next : attached));
	return uses_next;
}

/* "-dF/path": letters up to the first that takes a value; the rest is that value. */
static bool append_letters(GPtrArray *out, const GOptionEntry *entries, const char *letters,
			   const char *next)
{
	for (; *letters; letters++) {
		const GOptionEntry *entry = find_entry(entries, *letters, NULL);

		if (entry && entry_takes_value(entry))
			return append_option(out, entry, letters + 1, next);
		g_ptr_array_add(out, g_strdup_printf("-%c", *letters));
	}
	return false;
}

/* GOption knows no value within the same argument as its letter, and takes the next argument for
 * an optional value; qemu-ga's users count on the opposite of both. So every option with a value is
 * rewritten as --name=value before GOption sees it. */
static char **normalise(const GOptionEntry *entries, int argc, char **argv)
{
	g_autoptr(GPtrArray) out = g_ptr_array_new();
	int i = 0;

	for (; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		const GOptionEntry *entry;

		if (i == 0 || argv[i][0] != '-' || !argv[i][1]) {
			g_ptr_array_add(out, g_strdup(argv[i]));
		} else if (argv[i][1] != '-') {
			i += append_letters(out, entries, argv[i] + 1, next);
		} else if (!argv[i][2]) {
			break;
		} else {
			entry = find_entry(entries, 0, argv[i] + 2);
			if (entry && entry_takes_value(entry))
				i += append_option(out, entry, "", next);
			else
				g_ptr_array_add(out, g_strdup(argv[i]));
		}
	}
	for (; i < argc; i++)
		g_ptr_array_add(out, g_strdup(argv[i]));
	g_ptr_array_add(out, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

char **sf_split_commas(const char *list)
{
	g_auto(GStrv) parts = g_strsplit(list, ",", -1);
	g_autoptr(GPtrArray) kept = g_ptr_array_new();

	for (char **part = parts; *part; part++)
		if (*g_strstrip(*part))
			g_ptr_array_add(kept, g_strdup(*part));
	g_ptr_array_add(kept, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&kept), FALSE);
}

static char **split_all(char **lists)
{
	g_autofree char *joined = lists ? g_strjoinv(",", lists) : NULL;

	return joined ? sf_split_commas(joined) : NULL;
}

static bool asks_for_names(char **lists)
{
	return lists && (g_strv_contains((const char *const *)lists, "help") ||
			 g_strv_contains((const char *const *)lists, "?"));
}

static SfAction parse_action(const Parse *parse)
{
	if (parse->help)
		return SF_ACTION_HELP;
	if (parse->version)
		return SF_ACTION_VERSION;
	if (asks_for_names(parse->blocked) || asks_for_names(parse->allowed))
		return SF_ACTION_LIST_COMMANDS;
	if (parse->dump)
		return SF_ACTION_DUMP;
	if (parse->frozen)
		return SF_ACTION_LIST_FROZEN;
	return parse->recover ? SF_ACTION_RECOVER : SF_ACTION_RUN;
}

bool sf_options_parse(SfOptions *out_options, int argc, char **argv, GError **error)
{
	g_auto(Parse) parse = {0};
	GOptionEntry entries[ENTRY_COUNT];
	g_autoptr(GOptionContext) context = NULL;
	g_auto(GStrv) rest = NULL;
	g_autoptr(GError) reason = NULL;

	*out_options = (SfOptions){0};
	fill_entries(entries, &parse);
	context = context_new(entries, &parse);
	rest = normalise(entries, argc, argv);
	if (!g_option_context_parse_strv(context, &rest, &reason))
		return sf_throw(error, "%s", reason->message);
	if (rest[0] && rest[1])
		return sf_throw(error, "unexpected argument '%s'", rest[1]);

	parse.options.action = parse_action(&parse);
	parse.options.block_rpcs = split_all(parse.blocked);
	parse.options.allow_rpcs = split_all(parse.allowed);
	*out_options = parse.options;
	parse.options = (SfOptions){0};
	return true;
}

void sf_options_clear(SfOptions *options)
{
	g_free(options->config);
	g_free(options->method);
	g_free(options->path);
	g_free(options->statedir);
	g_free(options->logfile);
	g_free(options->pidfile);
	g_free(options->fsfreeze_hook);
	g_strfreev(options->block_rpcs);
	g_strfreev(options->allow_rpcs);
	*options = (SfOptions){0};
}

char *sf_options_help(void)
{
	Parse parse = {0};
	GOptionEntry entries[ENTRY_COUNT];
	g_autoptr(GOptionContext) context = NULL;

	fill_entries(entries, &parse);
	context = context_new(entries, &parse);
	return g_option_context_get_help(context, TRUE, NULL);
}
