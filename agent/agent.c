/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the main loop and every other object of the daemon; nothing else is global. Called by
 * main.c. */
#include "config.h"

#include <glib-unix.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/channels.h"
#include "agent/commands/commands.h"
#include "agent/footprint.h"
#include "agent/notify.h"
#include "agent/privileges.h"
#include "protocol/error.h"

#define FLUSH_AT_EXIT_MS 1000
#define PREDECESSOR_S 1

typedef struct {
	GMainLoop *loop;
	SfSession *session;
	SfDispatch *dispatch;
	SfChannels *channels;
	SfErrands *errands;
	SfExecs *execs;
	SfFiles *files;
	SfFsinfoCache *fsinfo_cache;
	SfContext context;
	bool may_run_hooks;
	GError *trouble;
	const SfConfig *config;
	guint predecessor_source; /* while a qemu-ga that runs has frozen the guest */
	bool starts_anew, is_told_to_stop;
} Agent;

static void agent_clear(Agent *agent)
{
	sf_channels_free(agent->channels);
	sf_session_free(agent->session);
	sf_errands_free(agent->errands);
	sf_execs_free(agent->execs);
	sf_files_free(agent->files);
	sf_fsinfo_cache_free(agent->fsinfo_cache);
	sf_dispatch_free(agent->dispatch);
	g_clear_pointer(&agent->loop, g_main_loop_unref);
	g_clear_error(&agent->trouble);
	if (agent->predecessor_source)
		g_source_remove(agent->predecessor_source);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Agent, agent_clear)

static void on_leave(gpointer user_data)
{
	g_main_loop_quit(((Agent *)user_data)->loop);
}

static gboolean on_signal(gpointer user_data)
{
	Agent *agent = user_data;

	agent->is_told_to_stop = true;
	sf_notify("STOPPING=1", NULL, 0);
	sf_channels_stop_reading(agent->channels);
	sf_session_stop(agent->session);
	return G_SOURCE_CONTINUE;
}

static void on_channels_lost(gpointer user_data)
{
	Agent *agent = user_data;

	if (!agent->trouble)
		sf_throw(&agent->trouble, "the last channel is lost");
	sf_session_stop(agent->session);
}

static bool session_is_frozen(gpointer context)
{
	return sf_session_is_frozen(((SfContext *)context)->session);
}

static const char *freezer_program(void)
{
	/* For tests that run what is not installed; a host cannot set it, and root may run what it
	 * likes. */
	const char *program = g_getenv("SNAPFREEZE_FREEZER");

	return program ? program : PKGLIBEXECDIR "/snapfreeze-freezer";
}

/* What qemu-ga has frozen is nobody's once it has ended: a start thaws it. A freeze of ours, of
 * what that one had not frozen, is not broken for it. */
static gboolean on_look_for_predecessor(gpointer user_data)
{
	Agent *agent = user_data;
	SfStateName state = sf_session_state(agent->session)->name;

	if (!sf_agent_predecessor_is_gone(agent->config) ||
	    (state != SF_STATE_THAWED && state != SF_STATE_EXPIRED))
		return G_SOURCE_CONTINUE;
	agent->predecessor_source = 0;
	agent->starts_anew = true;
	sf_session_stop(agent->session);
	return G_SOURCE_REMOVE;
}

static bool open_session(Agent *agent, const SfConfig *config, SfLog *log, GError **error)
{
	SfSessionSettings settings = {
		.freezer = freezer_program(),
		.rehearse = config->rehearse,
		.source = sf_config_plan_source(config),
		.timeout_s = config->timeout_s,
		.max_timeout_s = config->max_timeout_s,
		.freeze_timeout_s = config->freeze_timeout_s,
		.flush_timeout_s = config->flush_timeout_s,
		.parallel = config->freeze_parallel,
		.flush_throttle = config->flush_throttle,
		.accept_foreign = config->foreign_freeze == SF_FOREIGN_ACCEPT,
		.hooks = sf_config_hook_settings(config),
	};
	SfRecord *record = sf_record_open(config->statedir, !config->rehearse, error);

	if (!record)
		return false;
	if (!sf_agent_take_over(config, record))
		agent->predecessor_source =
			g_timeout_add_seconds(PREDECESSOR_S, on_look_for_predecessor, agent);
	/* Those of an earlier agent, too, which must be told to thaw. */
	agent->may_run_hooks = settings.hooks.directory || settings.hooks.fsfreeze_hook ||
			       atomic_load(&record->map->hook_count) > 0;
	agent->session = sf_session_new(&settings, record, log, on_leave, agent, error);
	return agent->session != NULL;
}

static void open_dispatch(Agent *agent, const SfConfig *config)
{
	SfDispatchSettings settings = {
		.profile = config->profile,
		.block = (const char *const *)config->block_rpcs,
		.allow = (const char *const *)config->allow_rpcs,
		.is_frozen = session_is_frozen,
		.context = &agent->context,
	};

	agent->dispatch = sf_dispatch_new(sf_command_families, &settings);
	agent->errands = sf_errands_new();
	agent->execs = sf_execs_new();
	agent->files = sf_files_new(agent->errands);
	agent->fsinfo_cache = sf_fsinfo_cache_new(SF_FSINFO_CACHE_SECONDS);
	agent->context = (SfContext){agent->dispatch, agent->session, agent->errands,
				     agent->execs,    agent->files,   agent->fsinfo_cache};
}

/* A descriptor per filesystem, per device and per client. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Left to itself, malloc keeps the room of one large message for ever: once such a block is freed,
 * it takes blocks of that size from the heap, whose end it gives back only in larger pieces. */
static void keep_large_blocks_apart(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
}

/* Once all is open; before GLib starts a thread (for signals), which would keep them all. */
static void limit_privileges(const Agent *agent)
{
	SfPrivileges needed = sf_privileges_needed(agent->dispatch, agent->may_run_hooks);
	g_autoptr(GError) error = NULL;

	/* Too many rights are no reason to leave a guest without its agent. */
	if (!sf_privileges_limit(&needed, &error))
		g_warning("%s", error->message);
}

/* @how: SIG_BLOCK or SIG_UNBLOCK; for what ends the agent. */
static void hold_signals(int how)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	pthread_sigmask(how, &ends, NULL);
}

/* @starts_anew: whether it did, and, on return, whether it is to. */
static bool run(const SfConfig *config, SfLog *log, bool *starts_anew, GError **error)
{
	g_auto(Agent) agent = {.loop = g_main_loop_new(NULL, FALSE), .config = config};

	if (!open_session(&agent, config, log, error))
		return false;
	open_dispatch(&agent, config);
	/* Who sees a socket may end the agent already, and is to find it as it always ends. */
	hold_signals(SIG_BLOCK);
	agent.channels = sf_channels_open(config, agent.dispatch, on_channels_lost, &agent, error);
	if (!agent.channels)
		return false;
	if (!*starts_anew)
		limit_privileges(&agent);
	guint signals[] = {g_unix_signal_add(SIGTERM, on_signal, &agent),
			   g_unix_signal_add(SIGINT, on_signal, &agent),
			   g_unix_signal_add(SIGHUP, on_signal, &agent)};
	hold_signals(SIG_UNBLOCK);
	sf_notify("READY=1", NULL, 0);
	sf_footprint_shrink();
	g_main_loop_run(agent.loop);
	sf_channels_flush(agent.channels, FLUSH_AT_EXIT_MS);
	for (guint i = 0; i < G_N_ELEMENTS(signals); i++)
		g_source_remove(signals[i]);
	*starts_anew = agent.starts_anew && !agent.is_told_to_stop;
	if (!agent.trouble)
		return true;
	g_propagate_error(error, g_steal_pointer(&agent.trouble));
	return false;
}

bool sf_agent_run(const SfConfig *config, SfLog *log, GError **error)
{
	bool starts_anew = false;

	raise_fd_limit();
	keep_large_blocks_apart();
	do
		if (!run(config, log, &starts_anew, error))
			return false;
	while (starts_anew);
	return true;
}
