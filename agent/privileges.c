/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which capabilities the agent needs, with the reason for each, and the giving up of the others.
 * Holds no state. Called by agent.c, once everything is open.
 */
#include "config.h"

#include <cap-ng.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/freezer/capabilities.h"
#include "agent/privileges.h"
#include "protocol/error.h"

#define ALL G_MAXUINT64

/* What the freezer has at its start: freezer/confinement.c gives up all but the first of them. */
#define FREEZER_STARTS_WITH                                               \
	(SF_CAPABILITY(CAP_SYS_ADMIN) | SF_CAPABILITY(CAP_SYS_RESOURCE) | \
	 SF_CAPABILITY(CAP_IPC_LOCK) | SF_CAPABILITY(CAP_SETPCAP))

typedef struct {
	const char *command; /* pattern; NULL: whatever the configuration is */
	guint64 capabilities;
} Need;

static const Need needs[] = {
	/* FITHAW, where the freezer is dead. FITRIM. */
	{NULL, SF_CAPABILITY(CAP_SYS_ADMIN)},
	/* Mount points lie in folders of others. */
	{NULL, SF_CAPABILITY(CAP_DAC_READ_SEARCH)},
	/* Mount tables and roots of other namespaces' processes. And the freezer: while it cannot
	 * be dumped it would look dead where /proc hides others' processes (hidepid). */
	{NULL, SF_CAPABILITY(CAP_SYS_PTRACE)},
	{"guest-set-time", SF_CAPABILITY(CAP_SYS_TIME)},
	/* Files of everybody; a write takes no set-uid bit away. */
	{"guest-file-open", SF_CAPABILITY(CAP_DAC_OVERRIDE) | SF_CAPABILITY(CAP_FSETID)},
	/* A program may lie in a folder of others, and be theirs; a late one is ended. */
	{"guest-exec", SF_CAPABILITY(CAP_DAC_OVERRIDE) | SF_CAPABILITY(CAP_KILL)},
	/* A child becomes the user; a late one is ended. */
	{"guest-ssh-*",
	 SF_CAPABILITY(CAP_SETUID) | SF_CAPABILITY(CAP_SETGID) | SF_CAPABILITY(CAP_KILL)},
};

/* A hook that is late is ended, and what it runs as somebody else. */
#define HOOKS_NEED SF_CAPABILITY(CAP_KILL)

static const char *const running_programs[] = {
	"guest-exec",
	"guest-set-user-password",
	"guest-shutdown",
	"guest-suspend-*",
};

static void add_command(const SfCommand *command, bool is_enabled, gpointer user_data)
{
	SfPrivileges *needed = user_data;

	if (!is_enabled)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(needs); i++)
		if (needs[i].command && g_pattern_match_simple(needs[i].command, command->name))
			needed->own |= needs[i].capabilities;
	for (size_t i = 0; i < G_N_ELEMENTS(running_programs); i++)
		if (g_pattern_match_simple(running_programs[i], command->name))
			needed->runs_programs = true;
}

SfPrivileges sf_privileges_needed(const SfDispatch *dispatch, bool has_hooks)
{
	SfPrivileges needed = {.own = has_hooks ? HOOKS_NEED : 0, .runs_programs = has_hooks};

	for (size_t i = 0; i < G_N_ELEMENTS(needs); i++)
		if (!needs[i].command)
			needed.own |= needs[i].capabilities;
	sf_dispatch_each(dispatch, add_command, &needed);
	return needed;
}

static guint64 held(capng_type_t type)
{
	guint64 found = 0;

	for (unsigned int i = 0; i <= CAP_LAST_CAP; i++)
		if (capng_have_capability(type, i))
			found |= SF_CAPABILITY(i);
	return found;
}

static void hold(capng_type_t type, guint64 capabilities)
{
	for (unsigned int i = 0; i <= CAP_LAST_CAP; i++)
		if (capabilities & SF_CAPABILITY(i))
			capng_update(CAPNG_ADD, type, i);
}

bool sf_privileges_limit(const SfPrivileges *needed, GError **error)
{
	bool is_closed = !needed->runs_programs;
	guint64 programs = is_closed ? FREEZER_STARTS_WITH : ALL;

	if (geteuid() != 0)
		return true;
	if (capng_get_caps_process() < 0)
		return sf_throw_errno(error, "read the process's capabilities");
	guint64 had = held(CAPNG_PERMITTED), could = held(CAPNG_BOUNDING_SET);
	/* A manager that took this one away has limited the bounding set by itself. */
	capng_select_t which = is_closed && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)
				       ? CAPNG_SELECT_BOTH
				       : CAPNG_SELECT_CAPS;
	if (is_closed && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return sf_throw_errno(error, "set no_new_privs");
	capng_clear(which);
	hold(CAPNG_EFFECTIVE | CAPNG_PERMITTED, had & needed->own);
	/* A program then gets no more than is permitted here: it must be, if not in effect. */
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		hold(CAPNG_PERMITTED, had & programs);
	if (which == CAPNG_SELECT_BOTH)
		hold(CAPNG_BOUNDING_SET, could & (needed->own | programs));
	if (capng_apply(which) < 0)
		return sf_throw_errno(error, "give up capabilities");
	return true;
}
