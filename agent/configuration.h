/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/dispatch.h"
#include "agent/options.h"

typedef enum {
	SF_METHOD_VIRTIO_SERIAL,
	SF_METHOD_ISA_SERIAL,
	SF_METHOD_UNIX_LISTEN,
	SF_METHOD_VSOCK_LISTEN,
} SfMethod;

typedef enum { SF_FOREIGN_FAIL, SF_FOREIGN_ACCEPT } SfForeign;

typedef enum { SF_NAMESPACES_ALL, SF_NAMESPACES_OWN } SfWhichNamespaces;

typedef struct {
	char *name; /* "main", or NAME of [channel:NAME] */
	SfMethod method;
	char *path; /* (nullable): the method's default, where it has one */
} SfChannelConfig;

/**
 * SfConfig: everything that an administrator can set, checked. (The file is not called config.h
 * because that is the build's own header.)
 */
typedef struct {
	SfChannelConfig main;
	GPtrArray *channels; /* of SfChannelConfig: those beside the main one, sorted by name */
	char *statedir;
	char *pidfile; /* only used with @daemonize */
	char *logfile; /* (nullable): standard error, or syslog with @daemonize */
	bool verbose;
	bool daemonize;
	bool retry_path;
	bool rehearse;              /* from the command line only */
	bool leaves_qemu_ga_unread; /* qemu-ga's file exists, but ours was read instead */
	char **allow_rpcs;          /* (nullable): only these are allowed */
	char **block_rpcs;          /* (nullable): of those that are allowed, these are not */
	SfProfile profile;
	unsigned int timeout_s; /* 0: as long as the heartbeat comes */
	unsigned int max_timeout_s;
	unsigned int freeze_timeout_s;
	unsigned int flush_timeout_s;
	bool flush_throttle;
	char **include; /* (nullable): patterns as SfPlanSource has them */
	char **exclude; /* (nullable) */
	SfWhichNamespaces namespaces;
	unsigned int freeze_parallel;
	SfForeign foreign_freeze;
	bool hooks_enabled;
	char *fsfreeze_hook; /* (nullable): qemu-ga's */
	char *hooks_directory;
	unsigned int hooks_timeout_s;
} SfConfig;

/* Where the configuration is looked for. */
typedef struct {
	const char *own;     /* read where it exists */
	const char *qemu_ga; /* else this one, where it exists */
	const char *chosen;  /* (nullable): instead of both; must exist. -c goes before it */
} SfConfigFiles;

/* The installed places, and what the environment's QGA_CONF chooses. */
SfConfigFiles sf_config_files_installed(void);

/**
 * sf_config_new:
 * @options: the command line; it goes before the file, but its lists of commands are added to the
 * file's
 * @files: where to look
 * @error: domain %SF_ERROR: "FILE:LINE: KEY: …" wherever a line is to blame; unknown groups and
 * keys are errors
 *
 * Returns: (transfer full) (nullable): free with sf_config_free()
 */
SfConfig *sf_config_new(const SfOptions *options, const SfConfigFiles *files,
			GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_config_free(SfConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfConfig, sf_config_free)

/* (transfer full): @config as a key file; read again (-c) it gives the same. */
char *sf_config_dump(const SfConfig *config);

/* (transfer none): "virtio-serial", … */
const char *sf_method_name(SfMethod method);
