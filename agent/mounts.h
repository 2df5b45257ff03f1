/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/fskind.h"

/* A superblock's key: mountinfo's major:minor (proc(5)). Not st_dev: btrfs gives each subvolume
 * another. */
typedef uint64_t SfDevice;
#define SF_DEVICE(major, minor) (((SfDevice)(major) << 32) | (uint32_t)(minor))
#define SF_DEVICE_MAJOR(device) ((uint32_t)((device) >> 32))
#define SF_DEVICE_MINOR(device) ((uint32_t)(device))

/* agent/namespaces.h */
typedef struct SfNamespace SfNamespace;
typedef struct SfNamespaces SfNamespaces;

/* One line of the mount table. */
typedef struct SfMount SfMount;
struct SfMount {
	int id;
	int parent;
	SfDevice device;
	char *subtree; /* the root of the mount within its filesystem; "/" unless a bind mount or
			  subvolume */
	char *path;    /* the mount point, unescaped */
	char *fstype;
	char *source;
	char *super_options;
	bool superblock_read_only;
	bool visible; /* @path leads to this mount: neither it nor a folder above it is covered by
			 another */
	bool is_deleted; /* its name ends in " (deleted)": it may be gone, or be called that */
	/* A folder above the mount point lies on a network or FUSE filesystem: never look @path up.
	 */
	bool is_behind_remote;
	bool is_behind_autofs; /* the same for autofs, which may wait for its daemon */
	SfFsKind kind;
	SfMount *same_path; /* (nullable): the one at the same path that came before it */
	SfNamespace *space; /* (nullable): the other namespace whose mount it is; not owned */
};

/* The mount table of one namespace, in the kernel's order; sf_namespaces_read() appends what only
 * others show. */
typedef struct {
	GPtrArray *mounts;     /* of SfMount */
	GHashTable *by_device; /* SfDevice* -> GPtrArray of SfMount (not owned), in table order */
	GHashTable *by_path;   /* path -> the last SfMount there; the others by @same_path */
	GPtrArray *blocks;     /* of SfMount[]: what @mounts points into */
	GStringChunk *strings; /* and the text of all of them */
	SfNamespaces *others;  /* (nullable): whose mounts the appended ones are */
} SfMounts;

/**
 * sf_mounts_read:
 * @path: a mountinfo file, such as "/proc/self/mountinfo"
 * @error: domain %SF_ERROR
 *
 * Reads the table with libmount and works out what is visible. Touches none of the mount points.
 * Linear.
 *
 * Returns: (transfer full) (nullable): free with sf_mounts_free()
 */
SfMounts *sf_mounts_read(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same from @text, @length bytes of such a file; @name is for an error. */
SfMounts *sf_mounts_parse(char *text, size_t length, const char *name,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_mounts_free(SfMounts *mounts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfMounts, sf_mounts_free)

/* (nullable): the mounts of one superblock, in table order. */
const GPtrArray *sf_mounts_of_device(const SfMounts *mounts, SfDevice device);

/* (nullable): the last mount at exactly this path; the others by @same_path. */
const SfMount *sf_mounts_at_path(const SfMounts *mounts, const char *path);

/* (nullable): the mount whose path is the longest prefix of @path, the topmost where several are
 * stacked. */
const SfMount *sf_mounts_find_holder(const SfMounts *mounts, const char *path);

/* (nullable): the one that the path leads to, @last and those before it at the same path; the last
 * where none is visible. */
const SfMount *sf_mounts_topmost(const SfMount *last);

/* Adds another namespace's mount to @mounts and @by_device; it must outlive them. */
void sf_mounts_append(SfMounts *mounts, SfMount *mount);

/* Whether a filesystem that may hang is mounted at @path or a folder above it. */
bool sf_mounts_may_hang(const SfMounts *mounts, const char *path);

/* Cuts the last component off @path, in place: "/a/b", "/a", "/", then false. */
bool sf_mounts_shorten(char *path);
