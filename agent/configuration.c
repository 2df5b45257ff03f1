/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the configuration comes from and what goes before what: defaults, then a file, then the
 * command line. Owns nothing that lasts beside the SfConfig that it hands to main.
 */
#include "config.h"

#include "agent/configuration-keys.h"
#include "agent/configuration.h"
#include "agent/key-file.h"
#include "protocol/error.h"

/* Where qemu-ga's packages put it, whatever our own prefix is. */
#define QEMU_GA_HOOK "/etc/qemu/fsfreeze-hook"

/* @out_file stays NULL where there is none, which is fine for the installed places. */
static bool find_file(const SfOptions *options, const SfConfigFiles *files, SfKeyFile **out_file,
		      GError **error)
{
	const char *chosen = options->config ? options->config : files->chosen;
	bool missing = false;

	if (chosen) {
		*out_file = sf_key_file_read(chosen, NULL, error);
		return *out_file != NULL;
	}
	*out_file = sf_key_file_read(files->own, &missing, error);
	if (!*out_file && missing) {
		missing = false;
		*out_file = sf_key_file_read(files->qemu_ga, &missing, error);
	}
	return *out_file || missing;
}

/* An empty value is an unset variable in somebody's unit: as if it were not given. */
static void override_string(char **field, const char *value)
{
	if (value && *value) {
		g_free(*field);
		*field = g_strdup(value);
	}
}

static bool apply_options(SfConfig *config, const SfOptions *options, GError **error)
{
	int method = options->method ? sf_method_find(options->method) : 0;

	if (method < 0)
		return sf_throw(error, "unknown method '%s'", options->method);
	if (options->method)
		config->main.method = method;
	override_string(&config->main.path, options->path);
	override_string(&config->statedir, options->statedir);
	override_string(&config->logfile, options->logfile);
	override_string(&config->pidfile, options->pidfile);
	/* The path may be left out, as with qemu-ga. */
	if (options->fsfreeze_hook)
		override_string(&config->fsfreeze_hook,
				*options->fsfreeze_hook ? options->fsfreeze_hook : QEMU_GA_HOOK);
	config->verbose |= options->verbose;
	config->daemonize |= options->daemonize;
	config->retry_path |= options->retry_path;
	config->rehearse = options->rehearse;
	if (options->block_rpcs)
		sf_config_add_strings(&config->block_rpcs, options->block_rpcs);
	if (options->allow_rpcs)
		sf_config_add_strings(&config->allow_rpcs, options->allow_rpcs);
	return true;
}

static SfConfig *config_new_default(void)
{
	SfConfig *config = g_new0(SfConfig, 1);

	config->main.name = g_strdup("main");
	config->channels = g_ptr_array_new_with_free_func((GDestroyNotify)sf_channel_config_free);
	config->statedir = g_strdup(RUNSTATEDIR "/snapfreeze");
	/* qemu-ga's own name: scripts that look for it should find us. */
	config->pidfile = g_strdup(RUNSTATEDIR "/qemu-ga.pid");
	config->profile = SF_PROFILE_STANDARD;
	config->timeout_s = 300;
	config->max_timeout_s = 3600;
	config->freeze_timeout_s = 30;
	config->flush_timeout_s = 60;
	config->flush_throttle = true;
	config->freeze_parallel = 128;
	config->hooks_enabled = true;
	config->hooks_directory = g_strdup(SYSCONFDIR "/snapfreeze/hooks.d");
	config->hooks_timeout_s = 10;
	return config;
}

SfConfigFiles sf_config_files_installed(void)
{
	return (SfConfigFiles){
		.own = SYSCONFDIR "/snapfreeze/agent.conf",
		/* Where qemu-ga's packages put it, whatever our own prefix is. */
		.qemu_ga = "/etc/qemu/qemu-ga.conf",
		.chosen = g_getenv("QGA_CONF"),
	};
}

static void use_default_path(SfChannelConfig *channel)
{
	if (channel->path)
		return;
	if (channel->method == SF_METHOD_VIRTIO_SERIAL)
		channel->path = g_strdup("/dev/virtio-ports/org.qemu.guest_agent.0");
	else if (channel->method == SF_METHOD_ISA_SERIAL)
		channel->path = g_strdup("/dev/ttyS0");
}

SfConfig *sf_config_new(const SfOptions *options, const SfConfigFiles *files, GError **error)
{
	g_autoptr(SfConfig) config = config_new_default();
	g_autoptr(SfKeyFile) file = NULL;

	if (!find_file(options, files, &file, error))
		return NULL;
	if (file && !sf_config_read_keys(config, file, error))
		return NULL;
	if (!apply_options(config, options, error))
		return NULL;
	use_default_path(&config->main);
	config->leaves_qemu_ga_unread = file && !g_strcmp0(file->name, files->own) &&
					g_file_test(files->qemu_ga, G_FILE_TEST_EXISTS);
	return g_steal_pointer(&config);
}

void sf_config_free(SfConfig *config)
{
	if (!config)
		return;
	sf_channel_config_clear(&config->main);
	g_ptr_array_unref(config->channels);
	g_free(config->statedir);
	g_free(config->pidfile);
	g_free(config->logfile);
	g_free(config->fsfreeze_hook);
	g_free(config->hooks_directory);
	g_strfreev(config->allow_rpcs);
	g_strfreev(config->block_rpcs);
	g_strfreev(config->include);
	g_strfreev(config->exclude);
	g_free(config);
}
