/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The world that the model walks: agent, freezer, the kernel, the hosts, in one small struct
 * without pointers or padding, so that states can be hashed and compared as bytes. What decides is
 * the real code (transitions.c, core.c, gates.c, worker.c, rescue.c); everything else here is
 * mirrored.
 */

#define MODEL_TARGETS 3
#define MODEL_QUEUE 8
#define MODEL_HOSTS 2

enum process { PROCESS_DEAD, PROCESS_ALIVE, PROCESS_STOPPED, PROCESS_KILLED /* threads in D */ };

/* Where a thread of the freezer stands within its job. */
enum op { OP_NONE, OP_GIVEN /* not run yet */, OP_FLUSH, OP_FREEZE, OP_THAW, OP_PAUSE };

enum answer {
	ANSWER_NONE,
	ANSWER_OK,
	ANSWER_BUSY,
	ANSWER_BUSY_LONG, /* and the two seconds of patience are over */
	ANSWER_EIO,
	ANSWER_UNSUPPORTED,
	ANSWER_EINVAL,
};

/* The truth, which none of ours can ask for. */
enum kernel { KERNEL_WRITABLE, KERNEL_OURS, KERNEL_FOREIGN };

/* A child that thaws by the record. */
enum child { CHILD_NONE, CHILD_FORKED, CHILD_THAWS, CHILD_KILLED /* within FITHAW */, CHILD_ENDED };

struct target {
	uint8_t job, is_frozen, is_slow; /* of struct sf_target */
	uint8_t op, path;   /* of its thread; path: what its job has been answered so far */
	uint8_t answer;     /* the ioctl is over, but its process is stopped */
	uint8_t done;       /* its job is, but the loop has not collected it: 1 + enum answer */
	uint8_t kernel;     /* enum kernel */
	uint8_t is_unclear; /* whose freeze it is: others thawed ours, or the freezer was killed in
			       FIFREEZE, before it said EBUSY */
	uint8_t entry, entry_error;  /* in the record; the error: whether it is EINVAL */
	uint8_t is_written;          /* since the evidence was taken */
	uint8_t child, is_tried;     /* of the agent's rescue */
	uint8_t orphan;              /* the child of an agent that died */
	uint8_t child_id, orphan_id; /* the freeze that they were made for */
};

struct queue {
	uint8_t count;
	uint8_t items[MODEL_QUEUE];
};

enum to_freezer { SAY_NOTHING, SAY_PLAN, SAY_FLUSH, SAY_FREEZE, SAY_EXTEND, SAY_THAW, SAY_STOP };

struct freezer {
	uint8_t process;   /* enum process */
	uint8_t is_orphan; /* the agent that started it is gone */
	uint8_t phase, next, running, frozen, reason, told_draining,
		agent_gone; /* struct sf_core */
	uint8_t signs;      /* of the agent's death that it has heard: the socket's end, a signal */
	uint8_t missed_beat; /* the same, before the freeze */
	uint8_t is_ending;   /* sf_workers */
	struct queue inbox;
};

struct record {
	uint8_t id, host, begun, end, verdict, knows_freezer;
	uint8_t hooks;  /* some were told to freeze, and not to thaw */
	uint8_t limits; /* what to restore is noted */
};

enum preparation {
	PREPARATION_NONE,
	PREPARATION_OPENS,
	PREPARATION_LOWERS, /* the plan is sent, and less dirty memory waited for */
	PREPARATION_FLUSHES,
	PREPARATION_SETTLES, /* flushed; the same wait once more */
	PREPARATION_HOOKS,
	PREPARATION_DROPS,
};
enum throttle { THROTTLE_OFF, THROTTLE_LOOKS };
/* What the scout was asked, and has not answered yet. */
enum look { LOOK_NONE, LOOK_AFTER_FREEZE, LOOK_BEFORE_THAW };
enum retry { RETRY_NONE, RETRY_SLOW /* on_thaw_slow */, RETRY_RECOVER };
enum recovery { RECOVERY_NONE, RECOVERY_BEGINS, RECOVERY_WAITS, RECOVERY_OPENS, RECOVERY_THAWS };

struct agent {
	uint8_t process;
	uint8_t state, was_begun, is_asked, is_empty, is_leaving;    /* SfState */
	uint8_t is_releasing, was_released;                          /* the same */
	uint8_t has_link, is_gone, ticks, acknowledge, has_deadline; /* freezer-link.c */
	uint8_t preparation, tries, has_run_hooks;
	uint8_t throttle, is_limiting; /* SfThrottle */
	uint8_t drop;                  /* on_drop_unsent is to be called */
	uint8_t has_plan;              /* with its fds */
	uint8_t looks, heard_frozen;   /* enum look; how many are, while it looks after that */
	uint8_t release;               /* the hooks are being told to thaw */
	uint8_t retry, leave;          /* timers that are armed */
	uint8_t rescue;                /* 1: running, 2: and the freezer is seen to be gone */
	uint8_t recovery, ways, has_pidfd, trouble, ours_before;
	uint8_t outcome_id, outcome_host, outcome_frozen, is_consistent, is_blamed, thawed_by;
	uint8_t freeze_waits, extend_waits; /* 1 + host */
	struct queue inbox; /* what the freezer said: enum sf_message_kind, and reasons above */
};

enum wish { WISH_NONE, WISH_FREEZE, WISH_THAW, WISH_EXTEND };

/* What a host knows, and what in truth became of its freeze: the properties compare the two. */
struct host {
	uint8_t wish;
	uint8_t was_told_frozen; /* its last freeze was answered with success */
};

struct ghost {
	uint8_t is_open;    /* a freeze was answered and its thaw not yet asked for */
	uint8_t is_spoiled; /* a fault happened meanwhile */
	uint8_t is_late;    /* a timer of the freezer ended it, or raced with who did */
};

/* How often each may still happen. */
struct budget {
	uint8_t faults, errors, foreign, freezes, thaws, extends, give_ups, stops, changes;
};

struct world {
	uint8_t is_limited; /* in truth: vm.dirty_* are lower than the guest's own */
	uint8_t hook_lost;  /* in truth: a session hook does not hold any more */
	struct target targets[MODEL_TARGETS];
	struct freezer freezer;
	struct record record;
	struct agent agent;
	struct host hosts[MODEL_HOSTS];
	struct ghost ghost;
	struct budget budget;
};

/* What a walk starts from and how far it goes. */
struct variant {
	const char *name, *about;
	unsigned int count, parallel;
	unsigned int edges;       /* bit i: target i before target i+1 */
	unsigned int barriers;    /* bit i */
	unsigned int unsupported; /* bit i: cannot freeze */
	bool accept_foreign;
	bool has_hooks, has_limits;
	bool is_long; /* only by its own command */
	struct budget budget;
};

enum event_kind {
	EVENT_NONE,
	/* the freezer's process */
	EVENT_READ,
	EVENT_SEES_AGENT_GONE,
	EVENT_COLLECT,
	EVENT_DEADLINE,
	EVENT_TIMEOUT,
	EVENT_HEARTBEAT,
	EVENT_TARGET_TIME,
	EVENT_BEAT,
	EVENT_THREAD_RUNS,
	EVENT_FREEZER_ENDS,
	/* the kernel */
	EVENT_KERNEL_ANSWERS,
	EVENT_CHILD_RUNS,
	EVENT_CHILD_ANSWERED,
	EVENT_ORPHAN_RUNS,
	EVENT_ORPHAN_ANSWERED,
	/* the agent's process */
	EVENT_HEAR,
	EVENT_LINK_GONE,
	EVENT_PREPARED,
	EVENT_TABLES_READ,
	EVENT_DROP,
	EVENT_RELEASED,
	EVENT_LIMIT,
	EVENT_HOOK_LOSS_HEARD,
	EVENT_LOOK,
	EVENT_RETRY_DUE,
	EVENT_RETRY_TIMER,
	EVENT_LEAVE_TIMER,
	EVENT_RECOVERY,
	EVENT_WAY_FAILS,
	/* hosts and others */
	EVENT_ASK,
	EVENT_GIVE_UP,
	EVENT_STOP,
	EVENT_RESTART,
	EVENT_WATCHDOG,
	EVENT_FOREIGN_FREEZE,
	EVENT_FOREIGN_THAW,
	EVENT_WRITE,
	EVENT_HOOK_ENDS,
	/* faults */
	EVENT_KILL_AGENT,
	EVENT_KILL_FREEZER,
	EVENT_KILL_ALL,
	EVENT_STOP_AGENT,
	EVENT_STOP_FREEZER,
	EVENT_CONTINUE_AGENT,
	EVENT_CONTINUE_FREEZER,
	EVENT_KINDS,
};

struct event {
	uint8_t kind;
	uint8_t index; /* of a target or a host */
	uint8_t value; /* an answer, a wish, a choice */
	bool is_fair;  /* must happen in the end where nothing fails any more */
};

#define MODEL_MAX_EVENTS 96

/* The violation that the event under way has run into; NULL: none. The first one stays. */
extern const char *world_violation;
void world_blame(const char *what);

/* The first state of a walk. */
void world_begin(struct world *world, const struct variant *variant);
/* What may happen next. Returns: how many, at most MODEL_MAX_EVENTS. */
unsigned int world_list_events(const struct world *world, struct event *events);
/* Lets @event happen; sets world_violation where something then is as it must never be. */
void world_apply(struct world *world, struct event event);
/* Whether all is over: nothing is frozen, nobody waits, a freeze would be accepted. */
bool world_is_at_rest(const struct world *world);
/* Whether nobody waits for an answer, and where no agent runs, nothing of ours is frozen. */
bool world_is_served(const struct world *world);
/* For people. */
void world_print_event(const struct world *world, struct event event);
void world_print(const struct world *world);
