/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "agent/mounts.h"

/* What a plan holds at most; the record and the freezer are sized by it. */
#define SF_PLAN_MAX_TARGETS 4096
#define SF_PLAN_MAX_EDGES 16384
/* How many mounts of one superblock are tried to open it. */
#define SF_PLAN_MAX_ROUTES 8

/* A way to open a superblock: a mount that a path leads to. */
typedef struct {
	char *path; /* below the root of @space */
	int mount_id;
	SfNamespace *space; /* (nullable): another mount namespace than the own */
} SfRoute;

/* One superblock that will be frozen (or, where its filesystem cannot, synced). */
typedef struct {
	SfDevice device;
	SfNamespace *space; /* (nullable): the mount namespace that has it, where the own has not */
	char *name;         /* for people, and to name it by: @mountpoint, or one such as
			       "/proc/812/root/data" */
	char *mountpoint;   /* the one it is opened through: visible, a directory where there is one
			     */
	int mount_id;       /* of that mount */
	GArray *routes; /* of SfRoute: @mountpoint first, then what serves where that is neither a
			   folder nor a file; at most SF_PLAN_MAX_ROUTES */
	char *fstype;
	char *source;           /* as the mount table names it, such as "/dev/vda1" */
	GPtrArray *mountpoints; /* (nullable): of char*: all of them, in table order; until
				   sf_plan_steal_details() */
	GArray *devices;     /* of SfDevice: the block devices of the superblock itself (its write
				counters) */
	bool backing_hidden; /* something below it is not shown by the kernel: before all that was
				mounted earlier */
	int fd;              /* -1 until it is opened */
} SfTarget;

/* A superblock that is left out, and why. */
typedef enum {
	SF_LEFT_OUT_PSEUDO,
	SF_LEFT_OUT_NETWORK,
	SF_LEFT_OUT_FUSE,
	SF_LEFT_OUT_OVERLAY,
	SF_LEFT_OUT_READ_ONLY,
	SF_LEFT_OUT_UNSUPPORTED, /* on a disk, but the kernel has no freeze for its kind (ZFS) */
	SF_LEFT_OUT_EXCLUDED,    /* by configuration */
	SF_LEFT_OUT_NOT_NAMED,   /* the request named others */
	SF_LEFT_OUT_NAMESPACE,   /* mounted in another namespace only; configured so */
} SfLeftOutReason;

typedef struct {
	SfDevice device;
	char *mountpoint;   /* its first */
	SfNamespace *space; /* (nullable): the mount namespace that has it, where the own has not */
	char *fstype;
	char *source;
	SfLeftOutReason reason;
} SfLeftOut;

/* Target number @before (an index into targets) must be frozen before @after is begun, and thawed
 * after it. */
typedef struct {
	uint16_t before, after;
} SfPlanEdge;

typedef struct {
	GPtrArray *targets;  /* of SfTarget, in freezing order */
	GArray *edges;       /* of SfPlanEdge */
	GPtrArray *left_out; /* of SfLeftOut, in table order */
	GPtrArray *warnings; /* (nullable) of char*, for people: see sf_plan_find_warnings() */
	SfMounts *mounts;    /* (nullable): the table it was made from; until
				sf_plan_steal_details() */
	bool is_whole;       /* no mount points were named */
} SfPlan;

/* Where a plan reads; all of it can be a fixture tree. Strings are not owned. */
typedef struct {
	const char *mountinfo;        /* "/proc/self/mountinfo" */
	const char *proc, *sys, *dev; /* "/proc", "/sys", "/dev" */
	const char *run;              /* the folder of the record, for the warning */
	const char *const *include;   /* (nullable): patterns: a glob on mount points, "type:NAME",
					 "device:PATH" */
	const char *const *exclude;   /* (nullable): the same */
	bool own_namespace_only;      /* what only other mount namespaces have is left out */
} SfPlanSource;

/**
 * sf_plan_new:
 * @source: where to read, and what the configuration leaves out
 * @mountpoints: (nullable): freeze only the filesystems mounted at these paths (any of their mount
 * points; a trailing slash does not matter; see sf_named_find()); %NULL: all
 * @error: domain %SF_ERROR: an unknown path, one that cannot be frozen (with the reason), a cycle
 * (with its members), a superblock without a path to open it through, more than SF_PLAN_MAX_TARGETS
 *
 * Reads the mount tables and sysfs; opens nothing and stats no mount point.
 *
 * Returns: (transfer full) (nullable): the plan
 */
SfPlan *sf_plan_new(const SfPlanSource *source, const char *const *mountpoints,
		    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Without any target; for those who know what to open without planning. */
SfPlan *sf_plan_new_empty(void);
/* Looks for what makes the plan less than it promises. It looks at every process, so only those who
 * show it ask. */
void sf_plan_find_warnings(SfPlan *plan, const SfPlanSource *source);
/* Closes the fds of the targets: an open fd keeps a filesystem from being unmounted. */
void sf_plan_close(SfPlan *plan);

/* What of a plan is of use until its freeze is over, and large where the mount table is: the table
 * itself, what was left out, and the targets' further mount points. */
typedef struct SfPlanDetails SfPlanDetails;
SfPlanDetails *sf_plan_steal_details(SfPlan *plan) G_GNUC_WARN_UNUSED_RESULT;
void sf_plan_details_free(SfPlanDetails *details);
/* Closes the fds of the targets too. */
void sf_plan_free(SfPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfPlan, sf_plan_free)

/* Has a plan go by what an equal one, that was made later, has read. */
void sf_plan_take_mounts(SfPlan *plan, SfPlan *newer);

/* Whether both plans freeze the same superblocks through the same mounts, in the same order and by
 * the same edges. */
bool sf_plan_equal(const SfPlan *a, const SfPlan *b);

/* The wire's name of a reason: "pseudo", "network", "fuse", "overlay", "read-only", "unsupported",
 * "excluded", "not-named", "other-namespace". */
const char *sf_left_out_reason_name(SfLeftOutReason reason);

/* Whether a superblock left out for this reason may hold data that the snapshot then does not
 * cover. */
bool sf_left_out_reason_is_uncovered(SfLeftOutReason reason);

/* (transfer full): {"inode", "pid", "command"} */
JsonNode *sf_namespace_to_json(const SfNamespace *space);

/**
 * sf_plan_to_json:
 * @hooks: (nullable) (element-type SfHook): those that would be told to freeze
 *
 * Returns: (transfer full): what snapfreeze-plan answers: {"filesystems": [{"mountpoint", "device",
 * "major-minor", "fstype", "mountpoints", "devices": ["8:1"], "after": [names of those that are
 * frozen first], "backing-hidden", "namespace"?}], "left-out": [{"mountpoint", "device", "fstype",
 * "reason", "namespace"?}],
 * "hooks": [{"name", "path", "session"}], "warnings": [str]}
 */
JsonNode *sf_plan_to_json(const SfPlan *plan, const GPtrArray *hooks);
