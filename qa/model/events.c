/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which events a state allows, and which of them must come in the end. Called by the walk. */
#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

struct list {
	struct event *events;
	unsigned int count;
};

static void add(struct list *list, enum event_kind kind, unsigned int index, unsigned int value,
		bool is_fair)
{
	list->events[list->count++] = (struct event){kind, index, value, is_fair};
}

static void list_freezer_timers(const struct world *world, struct list *list)
{
	const struct agent *agent = &world->agent;
	bool hears_no_beat =
		world->freezer.is_orphan || agent->process != PROCESS_ALIVE || !agent->ticks;

	for (int kind = EVENT_DEADLINE; kind <= EVENT_HEARTBEAT; kind++) {
		/* A beat that comes too late from an agent in good health is a fault, too. */
		bool is_fault = kind == EVENT_HEARTBEAT && !hears_no_beat;
		if ((!is_fault || world->budget.faults) &&
		    freezer_is_armed(world, (struct event){.kind = kind}))
			add(list, kind, 0, is_fault, !is_fault);
	}
	for (unsigned int i = 0; i < target_count(); i++)
		if (freezer_is_armed(world, (struct event){.kind = EVENT_TARGET_TIME, .index = i}))
			add(list, EVENT_TARGET_TIME, i, 0, true);
}

static void list_freezer(const struct world *world, struct list *list)
{
	const struct freezer *freezer = &world->freezer;

	if (freezer->process == PROCESS_KILLED) {
		bool is_over = true;
		for (unsigned int i = 0; i < target_count(); i++)
			is_over &= world->targets[i].op == OP_NONE;
		if (is_over)
			add(list, EVENT_FREEZER_ENDS, 0, 0, true);
	}
	if (freezer->process != PROCESS_ALIVE)
		return;
	if (freezer->inbox.count && !freezer->agent_gone)
		add(list, EVENT_READ, 0, freezer->inbox.items[0], true);
	if (freezer->is_orphan && freezer->signs < 2)
		add(list, EVENT_SEES_AGENT_GONE, 0, 0, true);
	for (unsigned int i = 0; i < target_count(); i++) {
		const struct target *target = &world->targets[i];
		if (target->done)
			add(list, EVENT_COLLECT, i, 0, true);
		if (target->op == OP_GIVEN || target->op == OP_PAUSE ||
		    target->answer != ANSWER_NONE)
			add(list, EVENT_THREAD_RUNS, i, 0, true);
	}
	list_freezer_timers(world, list);
	if (freezer->missed_beat && !freezer->is_orphan && world->agent.process == PROCESS_ALIVE &&
	    world->agent.ticks)
		add(list, EVENT_BEAT, 0, 0, true);
}

static void list_thaw_answers(const struct world *world, struct list *list, enum event_kind kind,
			      unsigned int index)
{
	bool is_frozen = world->targets[index].kernel != KERNEL_WRITABLE;

	add(list, kind, index, is_frozen ? ANSWER_OK : ANSWER_EINVAL, true);
	if (is_frozen && world->budget.errors)
		add(list, kind, index, ANSWER_EIO, false);
}

static void list_freeze_answers(const struct world *world, struct list *list, unsigned int index)
{
	if (world->targets[index].kernel != KERNEL_WRITABLE) {
		add(list, EVENT_KERNEL_ANSWERS, index, ANSWER_BUSY, true);
		add(list, EVENT_KERNEL_ANSWERS, index, ANSWER_BUSY_LONG, true);
		return;
	}
	bool can_freeze = !(world_variant->unsupported >> index & 1);
	add(list, EVENT_KERNEL_ANSWERS, index, can_freeze ? ANSWER_OK : ANSWER_UNSUPPORTED, true);
	if (can_freeze && world->budget.errors)
		add(list, EVENT_KERNEL_ANSWERS, index, ANSWER_EIO, false);
}

static void list_flush_answers(const struct world *world, struct list *list, unsigned int index)
{
	add(list, EVENT_KERNEL_ANSWERS, index, ANSWER_OK, true);
	if (world->budget.errors)
		add(list, EVENT_KERNEL_ANSWERS, index, ANSWER_EIO, false);
}

static void list_kernel(const struct world *world, struct list *list, unsigned int index)
{
	const struct target *target = &world->targets[index];

	if (op_is_in_kernel(target) && target->op == OP_FREEZE)
		list_freeze_answers(world, list, index);
	else if (op_is_in_kernel(target) && target->op == OP_THAW)
		list_thaw_answers(world, list, EVENT_KERNEL_ANSWERS, index);
	else if (op_is_in_kernel(target))
		list_flush_answers(world, list, index);
	if (target->child == CHILD_FORKED)
		add(list, EVENT_CHILD_RUNS, index, 0, true);
	if (target->child == CHILD_THAWS || target->child == CHILD_KILLED)
		list_thaw_answers(world, list, EVENT_CHILD_ANSWERED, index);
	if (target->orphan == CHILD_FORKED)
		add(list, EVENT_ORPHAN_RUNS, index, 0, true);
	if (target->orphan == CHILD_THAWS || target->orphan == CHILD_KILLED)
		list_thaw_answers(world, list, EVENT_ORPHAN_ANSWERED, index);
}

static void list_link(const struct world *world, struct list *list)
{
	const struct agent *agent = &world->agent;
	uint8_t freezer = world->freezer.process;
	bool looks = agent->ticks || agent->acknowledge;

	if (!link_is_watched(world))
		return;
	if (agent->inbox.count) {
		add(list, EVENT_HEAR, 0, 0, true);
	}
	bool is_deaf = freezer != PROCESS_ALIVE || world->freezer.agent_gone;
	if (freezer == PROCESS_DEAD || (looks && is_deaf))
		add(list, EVENT_LINK_GONE, 0, 0, true);
	else if (looks && world->budget.faults)
		add(list, EVENT_LINK_GONE, 0, 1, false);
}

static void list_recovery(const struct world *world, struct list *list)
{
	const struct agent *agent = &world->agent;

	if (agent->recovery >= RECOVERY_BEGINS && agent->recovery <= RECOVERY_OPENS)
		add(list, EVENT_RECOVERY, 0, 0, true);
	for (unsigned int i = 0; i < target_count(); i++) {
		if (agent->recovery == RECOVERY_OPENS && agent->ways >> i & 1 &&
		    world->budget.errors)
			add(list, EVENT_WAY_FAILS, i, 0, false);
		if (agent->rescue && world->targets[i].is_tried && !world->targets[i].child)
			add(list, EVENT_RETRY_DUE, i, 0, true);
	}
}

/* Values: 0 it goes on; 1 it fails; 2 nothing is there to freeze; 3 the mount table has changed */
static void list_preparation(const struct world *world, struct list *list)
{
	enum preparation stage = world->agent.preparation;
	bool is_waiting = stage == PREPARATION_OPENS || stage == PREPARATION_LOWERS ||
			  stage == PREPARATION_SETTLES || stage == PREPARATION_HOOKS;

	if (!is_waiting)
		return;
	add(list, EVENT_PREPARED, 0, 0, true);
	if (world->budget.errors && stage != PREPARATION_LOWERS)
		add(list, EVENT_PREPARED, 0, 1, false);
	if (world->budget.errors && stage == PREPARATION_OPENS)
		add(list, EVENT_PREPARED, 0, 2, false);
	if (world->budget.changes && stage == PREPARATION_SETTLES)
		add(list, EVENT_PREPARED, 0, 3, false);
}

static void list_agent(const struct world *world, struct list *list)
{
	const struct agent *agent = &world->agent;

	list_link(world, list);
	list_recovery(world, list);
	list_preparation(world, list);
	if (agent->throttle && world_variant->has_limits)
		add(list, EVENT_LIMIT, 0, 0, false);
	if (world->hook_lost == 1)
		add(list, EVENT_HOOK_LOSS_HEARD, 0, 0, true);
	if (agent->looks)
		add(list, EVENT_TABLES_READ, 0, 0, true);
	if (agent->drop)
		add(list, EVENT_DROP, 0, 0, true);
	if (agent->release)
		add(list, EVENT_RELEASED, 0, 0, true);
	if (agent->rescue)
		add(list, EVENT_LOOK, 0, 0, true);
	if (agent->retry)
		add(list, EVENT_RETRY_TIMER, 0, agent->retry, true);
	if (agent->leave)
		add(list, EVENT_LEAVE_TIMER, 0, 0, true);
	if (world->budget.stops)
		add(list, EVENT_STOP, 0, 0, false);
}

static bool session_is_idle(const struct agent *agent)
{
	return agent->state == SF_STATE_THAWED || agent->state == SF_STATE_EXPIRED;
}

static void list_hosts(const struct world *world, struct list *list)
{
	const struct budget *budget = &world->budget;

	for (unsigned int i = 0; i < MODEL_HOSTS; i++) {
		if (budget->give_ups && world->agent.freeze_waits == 1 + i &&
		    world->agent.state == SF_STATE_PREPARING)
			add(list, EVENT_GIVE_UP, i, 0, false);
		if (world->hosts[i].wish != WISH_NONE)
			continue;
		/* The hosts are alike: the first to freeze is always the same. */
		if (budget->freezes && (i == 0 || !session_is_idle(&world->agent)))
			add(list, EVENT_ASK, i, WISH_FREEZE, false);
		if (budget->thaws)
			add(list, EVENT_ASK, i, WISH_THAW, false);
		if (budget->extends && world->agent.state == SF_STATE_FROZEN)
			add(list, EVENT_ASK, i, WISH_EXTEND, false);
	}
}

static void list_others(const struct world *world, struct list *list)
{
	for (unsigned int i = 0; i < target_count(); i++) {
		const struct target *target = &world->targets[i];
		bool has_budget = world->budget.foreign > 0;
		if (has_budget && target->kernel == KERNEL_WRITABLE &&
		    !(world_variant->unsupported >> i & 1))
			add(list, EVENT_FOREIGN_FREEZE, i, 0, false);
		if (has_budget && target->kernel == KERNEL_OURS)
			add(list, EVENT_FOREIGN_THAW, i, 0, false);
		/* They thaw what is theirs in the end. */
		if (target->kernel == KERNEL_FOREIGN)
			add(list, EVENT_FOREIGN_THAW, i, 1, true);
		if (has_budget && world->ghost.is_open && !target->is_written)
			add(list, EVENT_WRITE, i, 0, false);
	}
}

static void list_faults(const struct world *world, struct list *list)
{
	uint8_t agent = world->agent.process, freezer = world->freezer.process;
	bool freezer_is_there = freezer == PROCESS_ALIVE || freezer == PROCESS_STOPPED;

	if (agent == PROCESS_STOPPED)
		add(list, EVENT_CONTINUE_AGENT, 0, 0, false);
	if (freezer == PROCESS_STOPPED)
		add(list, EVENT_CONTINUE_FREEZER, 0, 0, false);
	/* sf_session_update_watch() */
	if (agent == PROCESS_STOPPED && !session_is_idle(&world->agent))
		add(list, EVENT_WATCHDOG, 0, 0, true);
	if (!world->budget.faults)
		return;
	if (world->record.hooks && !world->hook_lost)
		add(list, EVENT_HOOK_ENDS, 0, 0, false);
	if (agent != PROCESS_DEAD)
		add(list, EVENT_KILL_AGENT, 0, 0, false);
	if (freezer_is_there)
		add(list, EVENT_KILL_FREEZER, 0, 0, false);
	if (agent != PROCESS_DEAD)
		add(list, EVENT_KILL_ALL, 0, 0, false);
	if (agent == PROCESS_ALIVE)
		add(list, EVENT_STOP_AGENT, 0, 0, false);
	if (freezer == PROCESS_ALIVE)
		add(list, EVENT_STOP_FREEZER, 0, 0, false);
}

unsigned int world_list_events(const struct world *world, struct event *events)
{
	struct list list = {events, 0};

	list_freezer(world, &list);
	for (unsigned int i = 0; i < target_count(); i++)
		list_kernel(world, &list, i);
	if (world->agent.process == PROCESS_ALIVE) {
		list_agent(world, &list);
		list_hosts(world, &list);
	} else if (world->agent.process == PROCESS_DEAD) {
		add(&list, EVENT_RESTART, 0, 0, true);
	}
	list_others(world, &list);
	list_faults(world, &list);
	return list.count;
}
