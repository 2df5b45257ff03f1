/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"

/*
 * The freezer's decisions: a state machine that does nothing but decide. An event goes in, actions
 * come out; it has no clock, no file and no thread, so that a test can play every fault and a model
 * can walk it exhaustively.
 *
 * Its one promise: once an event has begun a thaw, whatever is frozen is thawed, and tried again
 * until it is.
 */

enum sf_phase {
	SF_PHASE_IDLE,
	SF_PHASE_LOADED, /* a plan is there or coming in */
	SF_PHASE_FLUSHING,
	SF_PHASE_FLUSHED, /* waits for the word to freeze */
	SF_PHASE_FREEZING,
	SF_PHASE_FROZEN,
	SF_PHASE_ENDING, /* thaws all that is frozen, waits for all that still runs */
};

enum sf_job { SF_JOB_NONE, SF_JOB_FLUSH, SF_JOB_FREEZE, SF_JOB_THAW };

struct sf_target {
	uint8_t job; /* enum sf_job: what its thread is doing now */
	uint8_t is_frozen;
	uint8_t is_barrier; /* all that come later wait until it is finished */
	uint8_t is_slow;    /* its thaw takes too long or failed: nobody waits for it any more */
	uint16_t leaving, coming; /* its first edge of either list */
	uint64_t since_ms;        /* when its thaw began or last failed */
};

/* A job to be given to a target's thread. */
struct sf_start {
	uint8_t job; /* enum sf_job */
	uint16_t index;
};

/* An edge, in two linked lists: those that leave a target and those that come into it. */
struct sf_core_edge {
	uint16_t before, after;
	uint16_t next_leaving, next_coming; /* indices of edges; SF_NO_EDGE ends a list */
};

#define SF_NO_EDGE UINT16_MAX

/* A message to come is told by its members; the loop fills in what is measured. */
struct sf_tell {
	uint32_t kind; /* enum sf_message_kind */
	int32_t index;
	int32_t error;
	uint32_t reason;
	uint64_t lease;
};

#define SF_CORE_MAX_TELLS 8

struct sf_core {
	enum sf_phase phase;
	unsigned int count, edge_count, fd_count;
	unsigned int parallel;
	unsigned int next;    /* the first target that was not begun; they begin in order */
	unsigned int running; /* how many threads are at work */
	unsigned int frozen;  /* how many are frozen */
	bool accept_foreign;
	bool agent_gone;
	bool told_draining;
	enum sf_end reason; /* of the ending */
	uint64_t
		until_ms; /* flush-timeout or freeze-timeout; CLOCK_BOOTTIME, as all but the next */
	uint64_t heartbeat_until_ms; /* CLOCK_MONOTONIC: a suspended guest's agent cannot send any;
					UINT64_MAX: it was missed, or there was none yet */
	uint64_t deadline_ms, maximum_ms;
	uint64_t freeze_timeout_ms, lease_ms;

	/* What the last event asked for, in order: the starts, restore, forget, the tells, leave.
	 */
	unsigned int start_count, tell_count;
	bool restore; /* the limits of dirty memory, where they were lowered */
	bool forget;  /* the plan is done: close its fds, end its threads */
	bool leave;   /* nothing is frozen and the agent is gone: exit */
	struct sf_tell tells[SF_CORE_MAX_TELLS];

	/* Last, since they are only needed while there is a plan: the loop gives their memory back
	 * between freezes. */
	struct sf_target targets[SF_RECORD_MAX_ENTRIES];
	struct sf_core_edge edges[SF_MAX_EDGES];
	struct sf_start starts[SF_RECORD_MAX_ENTRIES];
};

struct sf_clock {
	uint64_t boottime_ms, monotonic_ms;
};

/* How long without a heartbeat until the agent counts as hung, and a running thaw as slow. */
#define SF_HEARTBEAT_LIMIT_MS 10000
#define SF_SLOW_THAW_MS 2000
#define SF_THAW_RETRY_MS 1000

void sf_core_init(struct sf_core *core);

/*
 * The events. Each first clears the actions of the one before.
 *
 * A message from the agent; what makes no sense in the phase, or is out of bounds, is ignored and
 * makes it return false: the agent then counts as gone.
 */
bool sf_core_message(struct sf_core *core, const struct sf_message *message, unsigned int fd_count,
		     struct sf_clock now);
/* The thread of target @index is done with its job; @error: 0, or the errno of its failure. */
void sf_core_done(struct sf_core *core, unsigned int index, int error, struct sf_clock now);
/* Time passed. */
void sf_core_tick(struct sf_core *core, struct sf_clock now);
/* The agent is dead: thaw, then leave. May be told more than once. */
void sf_core_agent_gone(struct sf_core *core, struct sf_clock now);

/* When sf_core_tick() is next needed, by each clock; UINT64_MAX: not at all. */
struct sf_clock sf_core_wake_at(const struct sf_core *core);
