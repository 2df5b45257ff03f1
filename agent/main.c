/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapfreeze-agent: options, configuration, log, and what the options ask for. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/commands/commands.h"
#include "agent/configuration.h"
#include "agent/log.h"
#include "agent/options.h"
#include "protocol/error.h"

#define RECOVER_FIRST_MS 5000

static int fail(const GError *error)
{
	fprintf(stderr, "snapfreeze-agent: %s\n", error->message);
	return EXIT_FAILURE;
}

static int list_commands(void)
{
	for (const SfCommand *const *family = sf_command_families; *family; family++)
		for (const SfCommand *command = *family; command->name; command++)
			printf("%s\n", command->name);
	return EXIT_SUCCESS;
}

static int print(char *text)
{
	g_autofree char *owned = text;

	return fputs(owned, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The lock shows a second agent that it is one; it lasts as long as the fd, through fork
 * (flock(2)). */
static int open_pidfile(const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0) {
		sf_throw_errno(error, "open the pid file '%s'", path);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		sf_throw_errno(error, "lock the pid file '%s': is another agent running?", path);
		close(fd);
		return -1;
	}
	return fd;
}

/* All that can fail comes first, while there is still somebody to tell. */
static bool become_daemon(const SfConfig *config, int *out_pidfile, GError **error)
{
	if (g_mkdir_with_parents(config->statedir, 0700) < 0)
		return sf_throw_errno(error, "make '%s'", config->statedir);
	int fd = open_pidfile(config->pidfile, error);
	if (fd < 0)
		return false;
	*out_pidfile = fd;
	if (daemon(0, 0) < 0)
		return sf_throw_errno(error, "become a daemon");
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return sf_throw_errno(error, "write the pid file '%s'", config->pidfile);
	return true;
}

static SfLog *open_log(const SfConfig *config, GError **error)
{
	SfLogSetup setup = {
		.target = config->logfile     ? SF_LOG_TO_FILE
			  : config->daemonize ? SF_LOG_TO_SYSLOG
					      : SF_LOG_TO_STDERR,
		.path = config->logfile,
		.fd = STDERR_FILENO,
		.verbose = config->verbose,
	};

	return sf_log_new(&setup, error);
}

/* The log and the pid file may lie on what an earlier agent left frozen: opening them would wait
 * for ever. What takes longer than this, or fails, the session recovers, and tells. */
static void recover_first(const SfConfig *config)
{
	g_autoptr(GError) error = NULL;

	if ((config->logfile || config->daemonize) &&
	    !sf_agent_recover(config, RECOVER_FIRST_MS, &error))
		fprintf(stderr, "snapfreeze-agent: %s\n", error->message);
}

static int run(const SfConfig *config)
{
	g_autoptr(GError) error = NULL;
	recover_first(config);
	g_autoptr(SfLog) log = open_log(config, &error);
	int pidfile = -1;

	/* A log that nobody reads, a client that hangs up: an error of that write, not our death.
	 */
	signal(SIGPIPE, SIG_IGN);
	if (!log || (config->daemonize && !become_daemon(config, &pidfile, &error)))
		return fail(error);
	sf_log_install(log);
	/* What is blocked there is allowed here, unless somebody has moved it. */
	if (config->leaves_qemu_ga_unread)
		g_warning("qemu-ga.conf is not read, since there is an agent.conf");
	bool is_good = sf_agent_run(config, log, &error);
	if (!is_good)
		g_warning("%s", error->message);
	if (pidfile >= 0) {
		unlink(config->pidfile);
		close(pidfile);
	}
	return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int recover(const SfConfig *config)
{
	g_autoptr(GError) error = NULL;

	return sf_agent_recover(config, 0, &error) ? EXIT_SUCCESS : fail(error);
}

int main(int argc, char **argv)
{
	g_auto(SfOptions) options = {0};
	g_autoptr(GError) error = NULL;
	SfConfigFiles files = sf_config_files_installed();

	if (!sf_options_parse(&options, argc, argv, &error))
		return fail(error);
	if (options.action == SF_ACTION_HELP)
		return print(sf_options_help());
	if (options.action == SF_ACTION_VERSION)
		return print(g_strdup("snapfreeze-agent " PACKAGE_VERSION "\n"));
	if (options.action == SF_ACTION_LIST_COMMANDS)
		return list_commands();
	g_autoptr(SfConfig) config = sf_config_new(&options, &files, &error);
	if (!config)
		return fail(error);
	if (options.action == SF_ACTION_DUMP)
		return print(sf_config_dump(config));
	if (options.action == SF_ACTION_LIST_FROZEN)
		return print(sf_agent_list_frozen(config));
	return options.action == SF_ACTION_RECOVER ? recover(config) : run(config);
}
