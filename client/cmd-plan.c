/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze plan: what would be frozen, drawn as the tree that makes the order, and what would
 * not. Touches nothing. Called by main's table. */
#include "config.h"

#include <string.h>

#include "client/format.h"
#include "client/mountpoints.h"
#include "client/reply.h"
#include "client/report.h"
#include "client/subcommand.h"
#include "client/table.h"
#include "client/tree.h"

#define MANY 3

typedef struct {
	char **mountpoints; /* (nullable): all */
	gboolean all;
} Options;

static GHashTable *index_by_place(JsonArray *filesystems)
{
	GHashTable *rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (unsigned int i = 0; i < sf_reply_length(filesystems); i++)
		g_hash_table_insert(rows, sf_reply_place(sf_reply_object_at(filesystems, i)),
				    GUINT_TO_POINTER(i + 1));
	return rows;
}

/* Each row hangs on the first one that waits for it. An agent that got its own order wrong draws no
 * line upwards. */
static int *find_parents(JsonArray *filesystems, GHashTable *rows)
{
	unsigned int n_rows = sf_reply_length(filesystems);
	int *parents = g_new(int, n_rows + 1);

	memset(parents, 0xff, (n_rows + 1) * sizeof(*parents));
	for (unsigned int i = 0; i < n_rows; i++) {
		JsonArray *after = sf_reply_array(sf_reply_object_at(filesystems, i), "after");

		for (unsigned int j = 0; j < sf_reply_length(after); j++) {
			const char *name = sf_reply_string_at(after, j);
			unsigned int row =
				name ? GPOINTER_TO_UINT(g_hash_table_lookup(rows, name)) : 0;

			if (row > 0 && row - 1 < i && parents[row - 1] < 0)
				parents[row - 1] = (int)i;
		}
	}
	return parents;
}

/* "1, 2, 3 and 4 more" */
static char *list_after(JsonObject *filesystem, GHashTable *rows)
{
	JsonArray *after = sf_reply_array(filesystem, "after");
	unsigned int n = sf_reply_length(after);
	GString *text = g_string_new(NULL);

	for (unsigned int i = 0; i < MIN(n, MANY); i++) {
		const char *name = sf_reply_string_at(after, i);
		unsigned int row = name ? GPOINTER_TO_UINT(g_hash_table_lookup(rows, name)) : 0;

		if (row > 0)
			g_string_append_printf(text, "%s%u", i > 0 ? ", " : "", row);
		else
			g_string_append_printf(text, "%s?", i > 0 ? ", " : "");
	}
	if (n > MANY)
		g_string_append_printf(text, " and %u more", n - MANY);
	return g_string_free(text, FALSE);
}

static char *list_notes(JsonObject *filesystem)
{
	const char *mountpoint = sf_reply_string(filesystem, "mountpoint");
	JsonArray *mountpoints = sf_reply_array(filesystem, "mountpoints");
	GString *text = g_string_new(NULL);
	const char *command = sf_reply_string(sf_reply_object(filesystem, "namespace"), "command");
	unsigned int n_others = 0;

	if (command)
		g_string_append_printf(text, "only in the mount namespace of %s", command);
	if (sf_reply_is_true(filesystem, "backing-hidden"))
		g_string_append_printf(text, "%sbacking not shown by the kernel",
				       text->len > 0 ? "; " : "");
	for (unsigned int i = 0; i < sf_reply_length(mountpoints); i++) {
		const char *other = sf_reply_string_at(mountpoints, i);

		if (!other || g_strcmp0(other, mountpoint) == 0 || n_others++ >= MANY)
			continue;
		g_string_append_printf(text, "%s%s", n_others > 1 ? ", " : "; also at ", other);
	}
	if (n_others > MANY)
		g_string_append_printf(text, " and %u more", n_others - MANY);
	if (g_str_has_prefix(text->str, "; "))
		g_string_erase(text, 0, 2);
	return g_string_free(text, FALSE);
}

static void add_filesystem(SfInvocation *invocation, SfTable *table, JsonObject *filesystem,
			   unsigned int row, const char *drawn, GHashTable *rows)
{
	g_autofree char *place = sf_reply_place(filesystem);
	g_autofree char *safe = sf_escape(place, invocation->look.utf8);
	g_autofree char *notes = list_notes(filesystem);

	sf_table_take(table, SF_STYLE_DIM, g_strdup_printf("%u", row + 1));
	sf_table_take(table, SF_STYLE_PLAIN, g_strconcat(drawn, safe, NULL));
	sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(filesystem, "fstype"));
	sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(filesystem, "device"));
	sf_table_take(table, SF_STYLE_PLAIN, list_after(filesystem, rows));
	sf_table_add(table, SF_STYLE_DIM, notes);
}

static void print_filesystems(SfInvocation *invocation, JsonArray *filesystems)
{
	const SfColumn columns[] = {{"#", true}, {"MOUNT POINT"}, {"TYPE"}, {"DEVICE"},
				    {"AFTER"},   {"NOTE"},        {NULL}};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);
	g_autoptr(GHashTable) rows = index_by_place(filesystems);
	g_autofree int *parents = find_parents(filesystems, rows);
	unsigned int n_rows = sf_reply_length(filesystems);
	g_auto(GStrv) drawn = sf_tree_draw(parents, n_rows, invocation->look.utf8);

	if (n_rows == 0) {
		g_string_append(invocation->out, "Nothing would be frozen.\n");
		return;
	}
	g_string_append(invocation->out, "Would be frozen, in this order:\n");
	for (unsigned int i = 0; i < n_rows; i++)
		add_filesystem(invocation, table, sf_reply_object_at(filesystems, i), i,
			       drawn ? drawn[i] : "", rows);
	sf_table_print(table, invocation->out);
}

static const char *explain(const char *reason)
{
	static const char *const reasons[][2] = {
		{"pseudo", "holds nothing on a disk"},
		{"network", "network filesystem: its server keeps the data"},
		{"fuse", "FUSE: cannot be frozen"},
		{"overlay", "overlay: its upper filesystem is frozen instead"},
		{"read-only", "mounted read-only"},
		{"unsupported", "the kernel cannot freeze its kind"},
		{"excluded", "excluded by the agent's configuration"},
		{"not-named", "not among those named"},
		{"other-namespace", "in another mount namespace only"},
	};

	for (size_t i = 0; reason && i < G_N_ELEMENTS(reasons); i++) {
		if (g_str_equal(reasons[i][0], reason))
			return reasons[i][1];
	}
	return reason;
}

static void print_left_out(SfInvocation *invocation, JsonArray *left_out, bool all)
{
	const SfColumn columns[] = {{"MOUNT POINT"}, {"TYPE"}, {"DEVICE"}, {"WHY"}, {NULL}};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);
	unsigned int n_pseudo = 0;

	for (unsigned int i = 0; i < sf_reply_length(left_out); i++) {
		JsonObject *filesystem = sf_reply_object_at(left_out, i);
		const char *reason = sf_reply_string(filesystem, "reason");
		g_autofree char *place = sf_reply_place(filesystem);

		if (!all && g_strcmp0(reason, "pseudo") == 0) {
			n_pseudo++;
			continue;
		}
		sf_table_add(table, SF_STYLE_PLAIN, place);
		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(filesystem, "fstype"));
		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(filesystem, "device"));
		sf_table_add(table, SF_STYLE_PLAIN, explain(reason));
	}
	if (!sf_table_is_empty(table) || n_pseudo > 0)
		g_string_append(invocation->out, "\nLeft out:\n");
	if (!sf_table_is_empty(table))
		sf_table_print(table, invocation->out);
	if (n_pseudo > 0)
		g_string_append_printf(invocation->out,
				       "%u that hold nothing on a disk (--all lists them)\n",
				       n_pseudo);
}

static void print_hooks(SfInvocation *invocation, JsonArray *hooks)
{
	const SfColumn columns[] = {{"HOOK"}, {"FILE"}, {"KIND"}, {NULL}};
	g_autoptr(SfTable) table = sf_table_new(columns, invocation->look);

	for (unsigned int i = 0; i < sf_reply_length(hooks); i++) {
		JsonObject *hook = sf_reply_object_at(hooks, i);

		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(hook, "name"));
		sf_table_add(table, SF_STYLE_PLAIN, sf_reply_string(hook, "path"));
		sf_table_add(table, SF_STYLE_PLAIN,
			     sf_reply_is_true(hook, "session") ? "stays until the thaw" : "");
	}
	if (sf_table_is_empty(table))
		return;
	g_string_append(invocation->out, "\nWould be told before, in this order:\n");
	sf_table_print(table, invocation->out);
}

static void print_warnings(SfInvocation *invocation, JsonArray *warnings)
{
	for (unsigned int i = 0; i < sf_reply_length(warnings); i++) {
		const char *text = sf_reply_string_at(warnings, i);
		g_autofree char *safe = sf_escape(text ? text : "?", invocation->look.utf8);
		g_autofree char *line = g_strconcat("Warning: ", safe, NULL);

		g_string_append(invocation->out, i == 0 ? "\n" : "");
		sf_print_styled(invocation->out, invocation->look, SF_STYLE_WARNING, line);
		g_string_append_c(invocation->out, '\n');
	}
}

static void report(SfInvocation *invocation, JsonNode *node, bool all)
{
	JsonObject *reply = sf_reply_root(node);

	if (invocation->json) {
		sf_print_json(invocation, node);
		return;
	}
	sf_report_rehearsal(invocation, reply);
	print_filesystems(invocation, sf_reply_array(reply, "filesystems"));
	print_left_out(invocation, sf_reply_array(reply, "left-out"), all);
	print_hooks(invocation, sf_reply_array(reply, "hooks"));
	print_warnings(invocation, sf_reply_array(reply, "warnings"));
}

static bool parse(SfInvocation *invocation, const char *summary, int argc, char **argv,
		  Options *options, GError **error)
{
	const GOptionEntry entries[] = {
		{"all", 0, 0, G_OPTION_ARG_NONE, &options->all,
		 "List also what is left out because it holds nothing on a disk", NULL},
		{G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->mountpoints, NULL,
		 "[MOUNTPOINT...]"},
		{NULL},
	};

	return sf_invocation_parse(invocation, NULL, summary, entries, false, &argc, &argv,
				   error) &&
	       sf_check_mountpoints(options->mountpoints, error);
}

static bool plan(SfInvocation *invocation, const Options *options, GError **error)
{
	g_autoptr(SfClient) client = sf_invocation_connect(invocation, error);
	g_autoptr(JsonObject) arguments = json_object_new();
	g_autoptr(JsonNode) reply = NULL;

	if (!client)
		return false;
	sf_add_mountpoints(arguments, options->mountpoints);
	reply = sf_client_call(client, "snapfreeze-plan", arguments,
			       sf_invocation_wait_ms(invocation, SF_WAIT_SHORT_MS), error);
	if (!reply)
		return false;
	report(invocation, reply, options->all);
	return true;
}

SfExit sf_cmd_plan(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	Options options = {0};
	SfExit status = SF_EXIT_OK;

	if (!parse(invocation, summary, argc, argv, &options, &error) ||
	    !plan(invocation, &options, &error))
		status = sf_fail(invocation, error);
	g_strfreev(options.mountpoints);
	return status;
}
