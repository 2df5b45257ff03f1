/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/disk.h"
#include "client/invocation.h"

/* What the user wants of the host. */
typedef struct {
	char *qmp;    /* the socket of QEMU's monitor; or */
	char *domain; /* the name of libvirt's domain */
	char **disks; /* (nullable): "NAME" or "NAME=FILE"; NULL: all */
	char *backup; /* (nullable): the folder for full backups; NULL: overlays */
	bool is_raw;  /* backups as raw images and not qcow2 */
} SfWish;

typedef enum {
	SF_HOST_BUSY,    /* asked and not answered */
	SF_HOST_COPYING, /* the snapshot's moment is fixed; copies go on while the guest may write
			  */
	SF_HOST_DONE,
	SF_HOST_FAILED, /* no snapshot, or not a whole one */
	SF_HOST_LOST,   /* whether there is one cannot be known any more */
} SfHostState;

/* Who takes the snapshot of the guest's disks. */
typedef struct SfHost SfHost;

typedef struct {
	bool (*prepare)(SfHost *host, GError **error);
	bool (*begin)(SfHost *host, GError **error);
	SfHostState (*step)(SfHost *host, GError **error);
	bool (*undo)(SfHost *host);
	void (*free)(SfHost *host);
} SfHostClass;

struct SfHost {
	const SfHostClass *class;
	SfInvocation *invocation;
	const SfWish *wish;
	GPtrArray *disks; /* of SfDisk */
	double progress;  /* of the copies, from 0 to 1 */
	int fd;           /* when it can be read, sf_host_step() may have news; -1: none */
};

/* Neither is copied. */
SfHost *sf_host_qemu_new(SfInvocation *invocation, const SfWish *wish);
SfHost *sf_host_libvirt_new(SfInvocation *invocation, const SfWish *wish);

/* For these two: what is the same for both. sf_host_free() clears it. */
void sf_host_init(SfHost *host, const SfHostClass *class, SfInvocation *invocation,
		  const SfWish *wish);
void sf_host_free(SfHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfHost, sf_host_free)

/* All that can be done, and all that can go wrong, before anything is frozen: connects, chooses the
 * disks, makes the files. Where it fails, sf_host_undo() takes back what was done. */
bool sf_host_prepare(SfHost *host, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Asks for the snapshot of all disks at one moment, and does not wait for it. */
bool sf_host_begin(SfHost *host, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* How far it is, without waiting. Call it when the descriptor can be read, and twice a second.
 * @error is set with SF_HOST_FAILED and SF_HOST_LOST. */
SfHostState sf_host_step(SfHost *host, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Takes back everything, running copies included, but what the guest may write to by now. Returns:
 * whether nothing is left */
bool sf_host_undo(SfHost *host);
