/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "--recover": owns a main loop for as long as it takes to thaw what a dead agent left, and to tell
 * its hooks. Called by main.c.
 */
#include "config.h"

#include "agent/agent.h"
#include "agent/hooks.h"
#include "agent/recovery.h"
#include "agent/throttle.h"
#include "protocol/error.h"

/* An application must not stand still for as long as a disk is dead. */
#define SLOW_THAW_MS 4000

SfPlanSource sf_config_plan_source(const SfConfig *config)
{
	return (SfPlanSource){
		.mountinfo = "/proc/self/mountinfo",
		.proc = "/proc",
		.sys = "/sys",
		.dev = "/dev",
		.run = config->statedir,
		.include = (const char *const *)config->include,
		.exclude = (const char *const *)config->exclude,
		.own_namespace_only = config->namespaces == SF_NAMESPACES_OWN,
	};
}

SfHookSettings sf_config_hook_settings(const SfConfig *config)
{
	return (SfHookSettings){
		.directory = config->hooks_enabled ? config->hooks_directory : NULL,
		.fsfreeze_hook = config->hooks_enabled ? config->fsfreeze_hook : NULL,
		.timeout_s = config->hooks_timeout_s,
		.rehearse = config->rehearse,
	};
}

/* (nullable): a mount point that leads to it, where there is one. */
static const char *find_mountpoint(const SfMounts *mounts, const struct sf_record_entry *entry)
{
	SfDevice device = SF_DEVICE(entry->major, entry->minor);
	const GPtrArray *superblock = mounts ? sf_mounts_of_device(mounts, device) : NULL;

	for (guint i = 0; superblock && i < superblock->len; i++) {
		const SfMount *mount = g_ptr_array_index(superblock, i);
		if (mount->visible)
			return mount->path;
	}
	return NULL;
}

static void append_entry(GString *text, const SfMounts *mounts, const struct sf_record_entry *entry)
{
	const char *mountpoint = find_mountpoint(mounts, entry);

	if (mountpoint)
		g_string_append_printf(text, "%s\n", mountpoint);
	else
		g_string_append_printf(text, "%u:%u\n", entry->major, entry->minor);
}

char *sf_agent_list_frozen(const SfConfig *config)
{
	g_autoptr(SfRecord) record = sf_record_look(config->statedir);
	g_autoptr(SfMounts) mounts = record ? sf_mounts_read("/proc/self/mountinfo", NULL) : NULL;
	GString *text = g_string_new(NULL);

	for (uint32_t i = 0; record && i < record->map->count; i++)
		if (sf_record_entry_is_ours(&record->map->entries[i]))
			append_entry(text, mounts, &record->map->entries[i]);
	return g_string_free(text, FALSE);
}

typedef struct {
	GMainLoop *loop;
	SfRecovery *recovery;
	SfHooks *hooks; /* (nullable): they are left to a session */
	guint limit_source, slow_source;
	bool is_thawed, is_releasing, is_released;
	GError *error;
} Recovering;

static void clear_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

static bool is_over(const Recovering *recovering)
{
	return recovering->is_thawed && (recovering->is_released || !recovering->hooks);
}

static void leave_if_over(Recovering *recovering)
{
	if (is_over(recovering))
		g_main_loop_quit(recovering->loop);
}

static void on_released(const GError *error, gpointer user_data)
{
	Recovering *recovering = user_data;

	recovering->is_released = true;
	leave_if_over(recovering);
}

static void release(Recovering *recovering)
{
	clear_source(&recovering->slow_source);
	if (!recovering->hooks || recovering->is_releasing)
		return;
	recovering->is_releasing = true;
	sf_hooks_thaw(recovering->hooks, on_released, recovering);
}

static gboolean on_slow(gpointer user_data)
{
	Recovering *recovering = user_data;

	recovering->slow_source = 0;
	release(recovering);
	return G_SOURCE_REMOVE;
}

static void on_recovered(unsigned int thawed, const GError *error, gpointer user_data)
{
	Recovering *recovering = user_data;

	if (thawed > 0)
		g_warning("%u filesystems that an agent had left frozen were thawed", thawed);
	if (error)
		recovering->error = g_error_copy(error);
	recovering->is_thawed = true;
	release(recovering);
	leave_if_over(recovering);
}

static gboolean on_limit(gpointer user_data)
{
	Recovering *recovering = user_data;

	recovering->limit_source = 0;
	sf_throw(&recovering->error, "not all that an agent left frozen is thawed yet");
	g_main_loop_quit(recovering->loop);
	return G_SOURCE_REMOVE;
}

static void begin(Recovering *recovering, const SfConfig *config, const SfPlanSource *source,
		  SfRecord *record)
{
	sf_throttle_recover(source->proc, record);
	recovering->slow_source = g_timeout_add(SLOW_THAW_MS, on_slow, recovering);
	if (sf_recovery_is_needed(record)) {
		recovering->recovery = sf_recovery_start(record, source, config->rehearse,
							 on_recovered, recovering);
	} else {
		recovering->is_thawed = true;
		release(recovering);
	}
}

bool sf_agent_recover(const SfConfig *config, unsigned int limit_ms, GError **error)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(SfRecord) record = sf_record_open(config->statedir, !config->rehearse, error);
	SfPlanSource source = sf_config_plan_source(config);
	SfHookSettings settings = sf_config_hook_settings(config);
	g_autoptr(SfHooks) hooks = NULL;
	Recovering recovering = {.loop = loop};

	if (!record)
		return false;
	sf_agent_take_over(config, record);
	if (limit_ms == 0)
		recovering.hooks = hooks = sf_hooks_new(&settings, record, NULL, NULL);
	else
		recovering.limit_source = g_timeout_add(limit_ms, on_limit, &recovering);
	begin(&recovering, config, &source, record);
	if (!is_over(&recovering))
		g_main_loop_run(loop);
	clear_source(&recovering.limit_source);
	clear_source(&recovering.slow_source);
	sf_recovery_free(recovering.recovery);
	if (!recovering.error)
		return true;
	g_propagate_error(error, recovering.error);
	return false;
}
