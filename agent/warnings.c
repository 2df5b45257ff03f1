/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the warnings of a plan: a function each, none of which can fail. Called by plan only. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/namespaces.h"
#include "agent/process.h"
#include "agent/superblocks.h"
#include "agent/sysfs.h"
#include "agent/warnings.h"

#define SYS_ADMIN_BIT 21 /* linux/capability.h: CAP_SYS_ADMIN */

static void warn(GPtrArray *warnings, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void warn(GPtrArray *warnings, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_ptr_array_add(warnings, g_strdup_vprintf(format, arguments));
	va_end(arguments);
}

static char *read_namespace(const SfPlanSource *source, const char *process)
{
	g_autofree char *path = g_build_filename(source->proc, process, "ns/mnt", NULL);
	char buffer[64];
	ssize_t length = readlink(path, buffer, sizeof(buffer));

	return length < 0 ? NULL : g_strndup(buffer, length);
}

static void check_namespace(const SfPlanSource *source, GPtrArray *warnings)
{
	g_autofree char *own = read_namespace(source, "self");
	g_autofree char *machine = read_namespace(source, "1");

	if (source->own_namespace_only && own && machine && !g_str_equal(own, machine))
		warn(warnings,
		     "this process has a mount table of its own: a filesystem that only the "
		     "machine's shows is not frozen");
}

static void check_unread(const SfPlanSource *source, const SfMounts *mounts, GPtrArray *warnings)
{
	guint n = sf_namespaces_count_unread(mounts);

	if (n > 0 && !source->own_namespace_only)
		warn(warnings,
		     "the mount tables of %u processes cannot be read: what only they show is not "
		     "frozen",
		     n);
}

static void check_run(const SfPlanSource *source, const SfMounts *mounts, GPtrArray *warnings)
{
	const SfMount *mount;

	if (!source->run)
		return;
	mount = sf_mounts_find_holder(mounts, source->run);
	if (!mount || mount->kind != SF_FSKIND_MEMORY)
		warn(warnings, "'%s' is not in memory (tmpfs): a freeze could block its own record",
		     source->run);
}

static void check_hung_task(const SfPlanSource *source, GPtrArray *warnings)
{
	g_autofree char *panic = sf_sysfs_read(source->proc, "sys/kernel/hung_task_panic");
	g_autofree char *timeout = sf_sysfs_read(source->proc, "sys/kernel/hung_task_timeout_secs");

	if (!panic || strtoul(panic, NULL, 10) == 0)
		return;
	warn(warnings,
	     "kernel.hung_task_panic is set: a writer that waits for the thaw longer than %s "
	     "seconds ends the machine",
	     timeout ? timeout : "hung_task_timeout_secs");
}

static void check_capability(const SfPlanSource *source, GPtrArray *warnings)
{
	g_autofree char *status = sf_sysfs_read(source->proc, "self/status");
	const char *line = status ? strstr(status, "\nCapEff:") : NULL;
	guint64 capabilities;

	if (!line)
		return;
	capabilities = g_ascii_strtoull(line + strlen("\nCapEff:"), NULL, 16);
	if (!(capabilities & (G_GUINT64_CONSTANT(1) << SYS_ADMIN_BIT)))
		warn(warnings, "the capability CAP_SYS_ADMIN is missing: nothing can be frozen");
}

static void check_superblocks(const SfPlanSource *source, const SfMounts *mounts,
			      GPtrArray *warnings)
{
	g_autoptr(GPtrArray) unknown = sf_superblocks_find_unknown(source, mounts, NULL);

	for (guint i = 0; i < unknown->len; i++)
		warn(warnings, "%s is in use, but no mount shows it: it is not frozen",
		     (char *)g_ptr_array_index(unknown, i));
}

static void check_other_agent(const SfPlanSource *source, GPtrArray *warnings)
{
	g_autoptr(GArray) pids = sf_process_find(source->proc, "qemu-ga");

	for (guint i = 0; i < pids->len; i++)
		warn(warnings,
		     "another guest agent runs (qemu-ga, process %d): its thaw undoes every freeze",
		     (int)g_array_index(pids, pid_t, i));
}

GPtrArray *sf_warnings_find(const SfPlanSource *source, const SfMounts *mounts)
{
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);

	check_namespace(source, warnings);
	check_unread(source, mounts, warnings);
	check_run(source, mounts, warnings);
	check_hung_task(source, warnings);
	check_capability(source, warnings);
	check_superblocks(source, mounts, warnings);
	check_other_agent(source, warnings);
	return warnings;
}
