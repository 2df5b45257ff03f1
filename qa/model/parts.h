/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qa/model/world.h"

/* What the model's parts share: kernel.c, freezer.c, rescue.c, agent.c, properties.c. */

extern const struct variant *world_variant;

static inline unsigned int target_count(void)
{
	return world_variant->count;
}

/* Whether the kernel may still answer an ioctl of the freezer's thread. */
static inline bool op_is_in_kernel(const struct target *target)
{
	return (target->op == OP_FLUSH || target->op == OP_FREEZE || target->op == OP_THAW) &&
	       target->answer == ANSWER_NONE;
}

static inline bool child_is_within_thaw(uint8_t child)
{
	return child == CHILD_THAWS || child == CHILD_KILLED;
}

void queue_push(struct queue *queue, uint8_t item);
uint8_t queue_pop(struct queue *queue);

/* kernel.c */
void kernel_begin_thaw(struct world *world, unsigned int index, uint8_t entry_before);
int kernel_answer(struct world *world, unsigned int index, enum op op, enum answer answer);
void kernel_forget_answer(struct target *target, enum op op, enum answer answer);
int answer_errno(enum answer answer);
void kernel_foreign(struct world *world, struct event event);

/* freezer.c: main.c of the freezer, around the real core */
void freezer_start(struct world *world);
void freezer_read(struct world *world);
void freezer_see_agent_gone(struct world *world);
void freezer_collect(struct world *world, unsigned int index);
void freezer_tick(struct world *world, struct event event);
void freezer_beat(struct world *world);
void freezer_kill(struct world *world);
/* Which timers of the freezer are armed, by the real sf_core_wake_at(). */
bool freezer_is_armed(const struct world *world, struct event event);

/* threads.c: the real worker.c, resumed from one ioctl to the next */
void thread_give(struct world *world, unsigned int index);
void thread_run(struct world *world, unsigned int index);
void thread_answered(struct world *world, unsigned int index, enum answer answer);

/* rescue.c: the real rescue.c */
void rescue_start(struct world *world, bool has_pidfd);
/* Returns: whether the rescue is over. */
bool rescue_look(struct world *world);
void child_run(struct world *world, unsigned int index, uint8_t *child);
void child_answered(struct world *world, unsigned int index, uint8_t *child, enum answer answer);

/* link.c: freezer-link.c */
void link_start(struct world *world);
void link_free(struct world *world);
bool link_send(struct world *world, enum to_freezer what);
void link_send_thaw(struct world *world, enum to_freezer what);
void link_note_message(struct agent *agent, unsigned int kind);
bool link_is_watched(const struct world *world);

/* preparation.c: preparation.c and throttle.c */
bool preparation_takes(struct world *world, unsigned int kind);
void preparation_restore_limits(struct world *world);
void preparation_free(struct world *world);

/* session.c, requests.c, recovery.c: the agent's glue around the real transitions */
unsigned int session_transit(struct agent *agent, int event);
void session_answer_extend(struct world *world, bool is_good);
void session_hear(struct world *world);
void session_link_gone(struct world *world);
void session_prepared(struct world *world, unsigned int choice);
void session_tables_read(struct world *world);
void session_drop(struct world *world);
void session_limit(struct world *world);
void session_hook_lost(struct world *world);
void session_released(struct world *world);
void session_look(struct world *world);
void session_retry_timer(struct world *world);
void session_ask(struct world *world, unsigned int host, enum wish wish);
void session_give_up(struct world *world, unsigned int host);
void session_stop(struct world *world);
void session_leave(struct world *world);
void session_on_recovered(struct world *world, bool has_trouble);
void session_load_outcome(struct world *world);
void session_handle(struct world *world, int event);
void session_begin(struct world *world);
void recovery_begin(struct world *world);
void recovery_step(struct world *world);
void recovery_way_fails(struct world *world, unsigned int index);
void recovery_rescued(struct world *world);
bool record_entry_is_ours(uint8_t entry);
unsigned int record_count_ours(const struct world *world);

/* processes.c: faults and restarts */
void agent_end(struct world *world);
void process_apply(struct world *world, struct event event);

/* properties.c */
void property_said_inconsistent(const struct world *world, unsigned int host);
void property_freezer_leaves(const struct world *world);
void property_answer(struct world *world, unsigned int host, enum wish wish, bool is_good);
void property_said_consistent(const struct world *world);
void property_spoil(struct world *world);
void property_freeze_begins(const struct world *world);
void property_start(const struct world *world, unsigned int index, enum op op);
void properties_check(const struct world *world);
