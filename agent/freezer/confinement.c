/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gives up the freezer's rights, by the kernel's own calls: it links only libc. What cannot be
 * given up was not there (a container, another user than root): no reason not to freeze. Called by
 * main.c, once.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/freezer/confinement.h"
#include "agent/freezer/syscalls.h"

#define BIT(capability) (UINT64_C(1) << (capability))

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

/* An inheritable set that is empty empties the ambient one too. */
static void keep_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets) < 0)
		return;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted &= (uint32_t)(wanted >> (32 * i));
		sets[i].effective = sets[i].permitted;
		sets[i].inheritable = 0;
	}
	(void)syscall(SYS_capset, &header, sets);
}

int sf_confine(bool may_freeze)
{
	uint64_t wanted = may_freeze ? BIT(CAP_SYS_ADMIN) : 0;

	if (!raise_lock_limit())
		wanted |= BIT(CAP_IPC_LOCK);
	empty_bounding_set();
	keep_capabilities(wanted);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return sf_syscalls_confine(may_freeze);
}
