/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an agent does about a qemu-ga in whose place it starts. Holds nothing. Called by agent.c and
 * agent-recover.c, before anything of theirs looks at the record.
 */
#include "config.h"

#include "agent/agent.h"
#include "agent/predecessor.h"
#include "agent/recovery.h"
#include "protocol/error.h"

/* A freezer whose agent has ended ends at once, but where a disk is dead. */
#define OLD_FREEZER_MS 2000

static SfPredecessor find_predecessor(const SfConfig *config, SfPredecessorSource *out_source,
				      pid_t *out_pid)
{
	SfConfigFiles files = sf_config_files_installed();

	*out_source = (SfPredecessorSource){
		.folders = sf_predecessor_folders(files.qemu_ga, config->statedir),
		.proc = "/proc",
		.mountinfo = "/proc/self/mountinfo",
	};
	return sf_predecessor_find(out_source, out_pid);
}

bool sf_agent_predecessor_is_gone(const SfConfig *config)
{
	g_auto(SfPredecessorSource) source = {0};
	pid_t pid;

	return find_predecessor(config, &source, &pid) != SF_PREDECESSOR_RUNS;
}

static void adopt(const SfPredecessorSource *source, const SfConfig *config, SfRecord *record)
{
	g_autoptr(GError) error = NULL;
	unsigned int left = sf_record_count_ours(record);

	if (left > 0)
		g_warning("an earlier agent has left %u filesystems frozen", left);
	if (sf_predecessor_adopt(source, config->fsfreeze_hook, record, &error))
		g_warning("qemu-ga has ended with the guest frozen: what it froze is thawed");
	else
		g_warning("cannot thaw what qemu-ga froze: %s", error->message);
}

bool sf_agent_take_over(const SfConfig *config, SfRecord *record)
{
	g_auto(SfPredecessorSource) source = {0};
	pid_t pid = 0;
	SfPredecessor predecessor = find_predecessor(config, &source, &pid);

	if (predecessor == SF_PREDECESSOR_NONE || config->rehearse)
		return true;
	if (predecessor == SF_PREDECESSOR_RUNS) {
		g_warning("qemu-ga (process %d) runs and has frozen the guest: it is left to that",
			  (int)pid);
		return false;
	}
	if (!sf_recovery_wait_freezer(record, OLD_FREEZER_MS)) {
		g_warning(
			"qemu-ga has ended with the guest frozen: what an earlier agent's freezer "
			"still holds is thawed first");
		return false;
	}
	adopt(&source, config, record);
	return true;
}
