/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is the same for every host. Called by snapshot.c; the beginning by host-qemu.c and
 * host-libvirt.c. */
#include "config.h"

#include "client/host.h"

void sf_host_init(SfHost *host, const SfHostClass *class, SfInvocation *invocation,
		  const SfWish *wish)
{
	*host = (SfHost){
		.class = class,
		.invocation = invocation,
		.wish = wish,
		.disks = sf_disks_new(),
		.fd = -1,
	};
}

void sf_host_free(SfHost *host)
{
	if (!host)
		return;
	g_ptr_array_unref(host->disks);
	host->class->free(host);
}

bool sf_host_prepare(SfHost *host, GError **error)
{
	return host->class->prepare(host, error);
}

bool sf_host_begin(SfHost *host, GError **error)
{
	return host->class->begin(host, error);
}

SfHostState sf_host_step(SfHost *host, GError **error)
{
	return host->class->step(host, error);
}

bool sf_host_undo(SfHost *host)
{
	return host->class->undo(host);
}
