/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze snapshot: on the host, one consistent snapshot of all disks of a guest. Here is what
 * the command line says; snapshot.c does it. Called by main's table. */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/format.h"
#include "client/snapshot-report.h"
#include "client/subcommand.h"
#include "protocol/error.h"

typedef struct {
	SfWish wish;
	char *agent;
	char *label;
	char *format;
	char *svg;
	bool has_made_folder;
} Options;

static void options_clear(Options *options)
{
	g_free(options->wish.qmp);
	g_free(options->wish.domain);
	g_free(options->wish.backup);
	g_strfreev(options->wish.disks);
	g_free(options->agent);
	g_free(options->label);
	g_free(options->format);
	g_free(options->svg);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static bool throw_usage(GError **error, const char *message)
{
	g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, message);
	return false;
}

/* libvirt has both for itself. The default socket is that of the agent on this machine, which would
 * freeze the host itself. */
static bool check_host(SfInvocation *invocation, Options *options, GError **error)
{
	SfWish *wish = &options->wish;

	if (wish->domain && (options->agent || wish->qmp))
		return throw_usage(error, "--domain excludes --agent and --qmp");
	if (wish->domain)
		return g_utf8_validate(wish->domain, -1, NULL) ||
		       throw_usage(error, "the domain's name is not text in UTF-8");
	if (options->agent) {
		g_free(invocation->socket);
		invocation->socket = g_steal_pointer(&options->agent);
	}
	if (sf_invocation_is_local(invocation))
		return throw_usage(error,
				   "which guest? --agent names the host's end of its agent's port");
	return wish->qmp || throw_usage(error, "which QEMU? --qmp names its monitor's socket");
}

static bool check(SfInvocation *invocation, Options *options, GError **error)
{
	SfWish *wish = &options->wish;

	if (!check_host(invocation, options, error))
		return false;
	if (options->format && !wish->backup)
		return throw_usage(error, "--format is for backups; an overlay is always qcow2");
	wish->is_raw = g_strcmp0(options->format, "raw") == 0;
	if (options->format && !wish->is_raw && !g_str_equal(options->format, "qcow2"))
		return throw_usage(error, "a backup's format is qcow2 or raw");
	if (options->label && !g_utf8_validate(options->label, -1, NULL))
		return throw_usage(error, "the label is not text in UTF-8");
	if (!options->label)
		options->label = g_strdup_printf("snapshot-%08x", g_random_int());
	return true;
}

static bool parse(SfInvocation *invocation, const char *summary, int argc, char **argv,
		  Options *options, GError **error)
{
	SfWish *wish = &options->wish;
	const GOptionEntry entries[] = {
		{"agent", 0, 0, G_OPTION_ARG_FILENAME, &options->agent,
		 "The host's end of the agent's port; the same as --socket", "SOCKET"},
		{"qmp", 0, 0, G_OPTION_ARG_FILENAME, &wish->qmp, "QEMU's monitor", "SOCKET"},
		{"domain", 0, 0, G_OPTION_ARG_STRING, &wish->domain,
		 "By libvirt, of this domain, in place of --agent and --qmp", "NAME"},
		{"disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &wish->disks,
		 "Only this disk, and those of further --disk; FILE may be left out", "NODE=FILE"},
		{"backup", 0, 0, G_OPTION_ARG_FILENAME, &wish->backup,
		 "Full backups in this folder, not overlays", "DIR"},
		{"format", 0, 0, G_OPTION_ARG_STRING, &options->format,
		 "Of the backups: qcow2 (default) or raw", "FORMAT"},
		{"label", 0, 0, G_OPTION_ARG_STRING, &options->label,
		 "A name for the freeze, for status and the agent's log", "LABEL"},
		{"svg", 0, 0, G_OPTION_ARG_FILENAME, &options->svg,
		 "Draw the time line as a picture too", "FILE"},
		{NULL},
	};

	return sf_invocation_parse_command(invocation, NULL, summary, entries, &argc, &argv, 0,
					   error) &&
	       check(invocation, options, error);
}

static bool make_folder(Options *options, GError **error)
{
	const char *folder = options->wish.backup;

	if (!folder || g_file_test(folder, G_FILE_TEST_IS_DIR))
		return true;
	if (mkdir(folder, 0700) < 0)
		return sf_throw_errno(error, "make the folder '%s'", folder);
	options->has_made_folder = true;
	return true;
}

static SfExit take(SfInvocation *invocation, Options *options)
{
	const SfWish *wish = &options->wish;
	g_autoptr(SfHost) host = wish->domain ? sf_host_libvirt_new(invocation, wish)
					      : sf_host_qemu_new(invocation, wish);
	SfSnapshot snapshot = {.host = host, .label = options->label};
	SfExit status = sf_snapshot_take(invocation, &snapshot);

	if (snapshot.verdict != SF_VERDICT_NONE) {
		sf_snapshot_report(invocation, &snapshot);
		if (options->svg && !sf_snapshot_write_svg(invocation, &snapshot, options->svg) &&
		    status == SF_EXIT_OK)
			status = SF_EXIT_REFUSED;
	}
	sf_course_clear(&snapshot.course);
	return status;
}

SfExit sf_cmd_snapshot(SfInvocation *invocation, const char *summary, int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_auto(Options) options = {0};
	SfExit status;

	if (!parse(invocation, summary, argc, argv, &options, &error) ||
	    !make_folder(&options, &error))
		return sf_fail(invocation, error);
	status = take(invocation, &options);
	/* Only where it is empty. */
	if (options.has_made_folder && status != SF_EXIT_OK)
		rmdir(options.wish.backup);
	return status;
}
