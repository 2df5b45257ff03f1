/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities by the kernel's own calls, for who links only libc, or may call nothing else. Called
 * by the freezer's confinement.c and by the agent's children.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/freezer/capabilities.h"

/* Fewer can always be had. An inheritable set that is empty empties the ambient one too. */
void sf_capabilities_keep(uint64_t wanted)
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
