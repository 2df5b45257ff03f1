/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/*
 * The session's state machine as a pure function: (state, event) -> (state, actions). It has no
 * clock, no file and no memory but the state, so that a model can walk it exhaustively. session.c
 * carries out the actions.
 */

typedef enum {
	SF_STATE_THAWED,
	SF_STATE_PREPARING, /* planning, opening, flushing, hooks: nothing is frozen yet */
	SF_STATE_FREEZING,
	SF_STATE_FROZEN,
	SF_STATE_THAWING,   /* also rolling back, and dropping a plan that was not begun */
	SF_STATE_DRAINING,  /* all is thawed but what is still inside FIFREEZE or a flush */
	SF_STATE_RELEASING, /* all is thawed; the hooks are still being told */
	SF_STATE_EXPIRED,   /* thawed, but not because somebody asked for it */
} SfStateName;

typedef struct {
	SfStateName name;
	bool was_begun; /* the word to freeze was given: something may be frozen until this ends */
	bool is_asked;  /* a request ended it (or its own failure), so nobody is to be told that it
			   expired */
	bool is_empty; /* there was nothing that freezes: told once this ends, and nothing failed */
	bool is_leaving;   /* the agent stops once this ends */
	bool is_releasing; /* the hooks that were told to freeze are being told to thaw */
	bool was_released; /* they have been */
} SfState;

typedef enum {
	SF_EVENT_FREEZE,   /* somebody asks for a freeze */
	SF_EVENT_PREPARED, /* all is open, flushed, and the mount table still as planned */
	SF_EVENT_PREPARE_FAILED,
	SF_EVENT_GIVEN_UP,       /* who asked for the freeze waits no more */
	SF_EVENT_FROZEN,         /* the freezer has frozen all */
	SF_EVENT_FROZEN_NOTHING, /* nothing was planned, or nothing of it freezes */
	SF_EVENT_FREEZE_FAILED,  /* the freezer rolls back */
	SF_EVENT_EXPIRED,        /* the freezer thaws by itself: deadline, heartbeat */
	SF_EVENT_DRAINING,
	SF_EVENT_ENDED, /* nothing of ours is frozen */
	SF_EVENT_THAW,  /* somebody asks for the thaw */
	SF_EVENT_FREEZER_GONE,
	SF_EVENT_STOP,      /* SIGTERM */
	SF_EVENT_HOOK_LOST, /* a session hook ended before all was frozen: what it held is not */
	SF_EVENT_SLOW,      /* a thaw takes long; it may take for ever, on a dead disk */
	SF_EVENT_RELEASED,  /* no hook has still to be told to thaw */
	SF_EVENT_COUNT,
} SfEvent;

typedef enum {
	SF_DO_PREPARE = 1 << 0,
	SF_DO_REFUSE_FREEZE = 1 << 1, /* of the one that just asked */
	SF_DO_JUDGE = 1 << 2,         /* look at the evidence, before the thaw begins */
	SF_DO_END = 1 << 3,           /* have the freezer thaw, or drop its plan */
	SF_DO_RESCUE = 1 << 4,
	SF_DO_SEND_FREEZE = 1 << 5,
	SF_DO_CLOSE =
		1
		<< 6, /* nothing is frozen: the verdict, the log, let go of what the freeze held */
	SF_DO_ANSWER_FREEZE = 1 << 7, /* with success */
	SF_DO_FAIL_FREEZE = 1 << 8,   /* where somebody still waits */
	SF_DO_ANSWER_THAW = 1 << 9,   /* all who wait for it */
	SF_DO_LEAVE = 1 << 10,
	SF_DO_RELEASE = 1 << 11, /* tell the hooks to thaw; RELEASED is the answer, perhaps at once
				  */
} SfSessionAction;

/* Returns: the actions, to be carried out in the order of their bits; the event may change nothing.
 */
unsigned int sf_transition(SfState *state, SfEvent event);

/* Whether guest-fsfreeze-status says "frozen": from the first FIFREEZE to the last FITHAW. */
bool sf_state_is_frozen(const SfState *state);
/* "thawed", "preparing", … */
const char *sf_state_describe(const SfState *state);
