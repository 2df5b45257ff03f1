/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest-shutdown and guest-suspend-*. Success has no answer. The system's own programs are asked
 * first, so that services end and are told in order: systemd's where it runs.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/power.h"
#include "agent/program.h"
#include "agent/sysfs.h"
#include "protocol/error.h"

#define SHUTDOWN_TIMEOUT_MS 60000
#define MESSAGE "hypervisor initiated shutdown"
#define SYSTEMD_RUNS "/run/systemd/system"

/* ---- in the child */

typedef struct {
	const char *name, *option;  /* the argument, and what shutdown(8) calls it */
	const char *const *plainly; /* programs that do it where there is no shutdown */
} ShutdownMode;

static const char *const halt_programs[] = {"/sbin/halt", "/usr/sbin/halt", NULL};
static const char *const poweroff_programs[] = {"/sbin/poweroff", "/usr/sbin/poweroff", NULL};
static const char *const reboot_programs[] = {"/sbin/reboot", "/usr/sbin/reboot", NULL};
static const ShutdownMode shutdown_modes[] = {
	{"powerdown", "-P", poweroff_programs},
	{"halt", "-H", halt_programs},
	{"reboot", "-r", reboot_programs},
};

/* Writes what failed, and nothing where nothing did. */
static void report(int fd, const GError *error)
{
	if (error)
		sf_errand_write(fd, error->message, strlen(error->message));
}

static bool shut_down(const ShutdownMode *mode, GError **error)
{
	static const char *const paths[] = {"/sbin/shutdown", "/usr/sbin/shutdown", NULL};
	const char *program = sf_program_find(paths);
	/* To sysvinit's shutdown, -P and -H only say how -h is meant. */
	const char *argv[] = {program, "-h", mode->option, "+0", MESSAGE, NULL};

	if (program)
		return sf_program_run(argv, NULL, error);
	program = sf_program_find(mode->plainly);
	if (!program)
		return sf_throw(error, "there is no '%s' and no '%s'", paths[0], mode->plainly[0]);
	argv[0] = program;
	argv[1] = NULL;
	return sf_program_run(argv, NULL, error);
}

static void run_shut_down(int fd, gpointer work_data)
{
	g_autoptr(GError) error = NULL;

	if (!shut_down(work_data, &error))
		report(fd, error);
}

/* What each mode is called by systemd, pm-utils, and in the kernel's files "state" and "disk". */
static const struct {
	const char *verb, *pm_utils, *state, *disk;
} suspend_modes[] = {
	[SF_SUSPEND_RAM] = {"suspend", "/usr/sbin/pm-suspend", "mem", NULL},
	[SF_SUSPEND_DISK] = {"hibernate", "/usr/sbin/pm-hibernate", "disk", NULL},
	[SF_SUSPEND_HYBRID] = {"hybrid-sleep", "/usr/sbin/pm-suspend-hybrid", "disk", "suspend"},
};

static bool has_word(const char *text, const char *word)
{
	g_auto(GStrv) words = g_strsplit_set(text, " []", -1);

	return g_strv_contains((const char *const *)words, word);
}

bool sf_suspend_is_possible(const char *sys, SfSuspend mode)
{
	g_autofree char *folder = g_build_filename(sys, "power", NULL);
	g_autofree char *state = sf_sysfs_read(folder, "state");
	g_autofree char *disk = sf_sysfs_read(folder, "disk");

	if (!state || !has_word(state, suspend_modes[mode].state))
		return false;
	if (mode == SF_SUSPEND_RAM)
		return true;
	/* "[disabled]" where the kernel is locked down. */
	if (!disk || has_word(disk, "disabled"))
		return false;
	return !suspend_modes[mode].disk || has_word(disk, suspend_modes[mode].disk);
}

static bool write_state(const char *folder, SfSuspend mode, GError **error)
{
	const char *state = suspend_modes[mode].state;

	return sf_sysfs_write(folder, "state", state) ||
	       sf_throw_errno(error, "write '%s' to '%s/state'", state, folder);
}

/* (transfer full) (nullable): how the machine goes down, which the kernel shows in brackets. */
static char *disk_mode(const char *folder)
{
	g_autofree char *text = sf_sysfs_read(folder, "disk");
	char *begin = text ? strchr(text, '[') : NULL;
	const char *end = begin ? strchr(begin, ']') : NULL;

	return end ? g_strndup(begin + 1, (gsize)(end - begin - 1)) : NULL;
}

/* What was in force is put back, once the guest is awake again or where it never slept: it would
 * turn the next hibernation, whoever asks for it, into another. */
static bool suspend_with_disk(const char *folder, SfSuspend mode, GError **error)
{
	g_autofree char *before = disk_mode(folder);
	const char *disk = suspend_modes[mode].disk;

	if (!sf_sysfs_write(folder, "disk", disk))
		return sf_throw_errno(error, "write '%s' to '%s/disk'", disk, folder);
	bool is_done = write_state(folder, mode, error);
	if (before)
		(void)sf_sysfs_write(folder, "disk", before);
	return is_done;
}

bool sf_suspend_by_kernel(const char *sys, SfSuspend mode, GError **error)
{
	g_autofree char *folder = g_build_filename(sys, "power", NULL);

	return suspend_modes[mode].disk ? suspend_with_disk(folder, mode, error)
					: write_state(folder, mode, error);
}

typedef struct {
	const char *sys;
	SfSuspend mode;
} Suspend;

static bool suspend(const Suspend *request, GError **error)
{
	static const char *const systemctl[] = {"/usr/bin/systemctl", "/bin/systemctl", NULL};
	const char *pm_utils[] = {suspend_modes[request->mode].pm_utils, NULL};
	const char *program = access(SYSTEMD_RUNS, F_OK) == 0 ? sf_program_find(systemctl) : NULL;
	const char *argv[] = {program, suspend_modes[request->mode].verb, NULL};

	if (!sf_suspend_is_possible(request->sys, request->mode))
		return sf_throw(error, "the requested suspend mode is not supported by the guest");
	if (program)
		return sf_program_run(argv, NULL, error);
	argv[0] = sf_program_find(pm_utils);
	argv[1] = NULL;
	if (argv[0])
		return sf_program_run(argv, NULL, error);
	return sf_suspend_by_kernel(request->sys, request->mode, error);
}

static void run_suspend(int fd, gpointer work_data)
{
	g_autoptr(GError) error = NULL;

	if (!suspend(work_data, &error))
		report(fd, error);
}

/* ---- in the agent */

static void on_done(const GByteArray *output, bool is_whole, gpointer user_data)
{
	g_autofree char *text = sf_errand_text(output);
	g_autoptr(GError) error = NULL;

	if (is_whole && *text == '\0') {
		sf_call_end_silently(user_data);
		return;
	}
	sf_throw(&error, "%s", *text ? text : "the program that shuts down does not end");
	sf_call_fail(user_data, error);
}

static const ShutdownMode *find_mode(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(shutdown_modes); i++)
		if (!name || g_str_equal(name, shutdown_modes[i].name))
			return &shutdown_modes[i];
	return NULL;
}

static void run_shutdown(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	const ShutdownMode *mode = find_mode(sf_arguments_get_string(arguments, "mode"));
	g_autoptr(GError) error = NULL;

	if (mode) {
		sf_errand_start(((SfContext *)user_data)->errands, run_shut_down, (gpointer)mode,
				SHUTDOWN_TIMEOUT_MS, on_done, call);
		return;
	}
	/* qemu-ga's words, the missing bracket included. */
	sf_throw(&error, "mode is invalid (valid values are: halt|powerdown|reboot");
	sf_call_fail(call, error);
}

/* No limit: who hears of it hears it when the guest is woken. */
static void start_suspend(SfCall *call, gpointer user_data, SfSuspend mode)
{
	SfContext *context = user_data;
	Suspend request = {sf_session_settings(context->session)->source.sys, mode};

	sf_errand_start(context->errands, run_suspend, &request, 0, on_done, call);
}

static void run_suspend_ram(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	start_suspend(call, user_data, SF_SUSPEND_RAM);
}

static void run_suspend_disk(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	start_suspend(call, user_data, SF_SUSPEND_DISK);
}

static void run_suspend_hybrid(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	start_suspend(call, user_data, SF_SUSPEND_HYBRID);
}

static const SfArgumentSpec shutdown_arguments[] = {
	{"mode", SF_ARGUMENT_STRING, true, NULL},
	{NULL},
};

#define SILENT .profile = SF_PROFILE_STANDARD, .no_success_response = true

const SfCommand sf_power_commands[] = {
	{.name = "guest-shutdown", SILENT, .arguments = shutdown_arguments, .run = run_shutdown},
	{.name = "guest-suspend-ram", SILENT, .run = run_suspend_ram},
	{.name = "guest-suspend-disk", SILENT, .run = run_suspend_disk},
	{.name = "guest-suspend-hybrid", SILENT, .run = run_suspend_hybrid},
	{NULL},
};
