/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/*
 * The record: a file of fixed size in /run/snapfreeze, mapped shared by agent and freezer and
 * locked in memory. It says which superblocks are ours to thaw, whoever is left to do it. Only libc
 * types: the freezer has no GLib.
 *
 * Who writes what: the agent the hooks, and all but what is atomic while no freeze is under way;
 * the freezer (or, once that is dead, the agent's rescue) the other atomic members.
 */

#define SF_RECORD_MAGIC "snapfrz1"
#define SF_RECORD_MAX_ENTRIES 4096
#define SF_RECORD_MAX_HOOKS 32

/* The three that rescue and recovery touch are FREEZING, FROZEN and THAWING: those may be frozen by
 * us. */
enum sf_entry_state {
	SF_ENTRY_PLANNED,
	SF_ENTRY_FREEZING, /* inside FIFREEZE, or killed in it */
	SF_ENTRY_FROZEN,
	SF_ENTRY_FAILED,  /* FIFREEZE failed: @error */
	SF_ENTRY_FOREIGN, /* was frozen by somebody else, which the configuration accepts */
	SF_ENTRY_SYNCED,  /* its filesystem cannot freeze: synced instead */
	SF_ENTRY_THAWING, /* inside FITHAW, or killed in it */
	SF_ENTRY_THAWED,  /* with @error EINVAL: somebody else had thawed it */
};

/* Why a freeze ended, or is ending. */
enum sf_end {
	SF_END_NONE,         /* it has not */
	SF_END_REQUEST,      /* the agent asked for the thaw */
	SF_END_FAILED,       /* a filesystem refused: rolled back */
	SF_END_TIMEOUT,      /* freeze-timeout or flush-timeout: rolled back */
	SF_END_DEADLINE,     /* the lease or the maximum passed */
	SF_END_AGENT_GONE,   /* the agent died */
	SF_END_HEARTBEAT,    /* the agent hung */
	SF_END_FREEZER_GONE, /* the freezer died or hung: the agent's rescue thawed */
	SF_END_STOPPED,      /* the agent was told to stop */
	SF_END_RECOVERED,    /* both died: a later start thawed */
};

/* Unknown counts as inconsistent: whoever dies before it has looked leaves that. */
enum sf_verdict { SF_VERDICT_UNKNOWN, SF_VERDICT_CONSISTENT, SF_VERDICT_INCONSISTENT };

struct sf_record_entry {
	uint32_t major, minor;  /* the superblock's key in mountinfo */
	_Atomic uint32_t state; /* enum sf_entry_state */
	_Atomic int32_t error;  /* errno of the last ioctl that failed; 0: none did */
	_Atomic uint32_t tid;   /* the freezer's thread that works on it; 0: none was made */
	_Atomic uint32_t flush_us, freeze_us,
		thaw_us; /* how long each took; UINT32_MAX: longer than that holds */
};

/* A hook that was told to freeze and has not been told to thaw. The agent's alone. */
struct sf_record_hook {
	char path[256];
	uint32_t pid;   /* of its process that may still run, which leads its group; 0: none */
	uint64_t start; /* start time of that process */
};

/* Of the limits of dirty memory while a flush has them lowered (agent/freezer/limits.h). */
enum sf_limit { SF_LIMIT_DIRTY, SF_LIMIT_BACKGROUND, SF_LIMIT_COUNT };

struct sf_record_limit {
	_Atomic uint64_t old_bytes, old_ratio; /* to restore; bytes 0: the ratio was in force */
	_Atomic uint64_t ours; /* bytes that we wrote last; restored only where still in force */
	_Atomic uint64_t next; /* that we are about to write */
};

/* Written by the agent's throttle; read by whoever restores. */
struct sf_record_limits {
	struct sf_record_limit limits[SF_LIMIT_COUNT];
	_Atomic uint32_t are_saved; /* what to restore is there; a limit may be lowered */
};

struct sf_record {
	char magic[8];
	uint32_t size;  /* sizeof(struct sf_record): another version's record is not ours to read */
	uint32_t count; /* of entries, in freezing order */
	char boot_id[40]; /* /proc/sys/kernel/random/boot_id, NUL-terminated */
	uint32_t freezer_pid;
	uint64_t freezer_start; /* start time of that process (field 22 of /proc/PID/stat): pids
				   come again */
	int64_t id;             /* of the freeze; 0: there was none */
	char channel[64];       /* that asked for it; "": more than one did */
	char label[128];
	uint32_t verdict; /* enum sf_verdict, of the agent that saw the thaw */
	char reason[256]; /* of SF_VERDICT_INCONSISTENT */
	struct sf_record_limits limits;
	_Atomic uint32_t end;      /* enum sf_end */
	_Atomic uint64_t begun_ms; /* CLOCK_BOOTTIME: first FIFREEZE */
	_Atomic uint64_t ended_ms; /* CLOCK_BOOTTIME: when the thaw began */

	/* In the order of their freezes; each counts from before its start until its thaw is done.
	 */
	_Atomic uint32_t hook_count;
	struct sf_record_hook hooks[SF_RECORD_MAX_HOOKS];

	struct sf_record_entry entries[SF_RECORD_MAX_ENTRIES];
};
