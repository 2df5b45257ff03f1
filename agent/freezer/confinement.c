/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gives up the freezer's rights, by the kernel's own calls: it links only libc. What cannot be
 * given up was not there (a container, another user than root): no reason not to freeze. Called by
 * main.c, once.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "agent/freezer/capabilities.h"
#include "agent/freezer/confinement.h"
#include "agent/freezer/syscalls.h"

/* The tables of a plan and the threads' stacks are locked as they come: without a limit, that needs
 * no capability. */
static bool raise_lock_limit(void)
{
	struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	return setrlimit(RLIMIT_MEMLOCK, &none) == 0;
}

/* What a program would get back by exec, if one could be run. */
static void empty_bounding_set(void)
{
	for (unsigned long i = 0; prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0; i++)
		;
}

int sf_confine(bool may_freeze)
{
	uint64_t wanted = may_freeze ? SF_CAPABILITY(CAP_SYS_ADMIN) : 0;

	if (!raise_lock_limit())
		wanted |= SF_CAPABILITY(CAP_IPC_LOCK);
	empty_bounding_set();
	sf_capabilities_keep(wanted);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return sf_syscalls_confine(may_freeze);
}
