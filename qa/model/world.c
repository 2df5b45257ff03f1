/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an event costs, and which part carries it out. Called by the walk. */
#include <stdio.h>
#include <string.h>

#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

const char *world_violation;
const struct variant *world_variant;

void world_blame(const char *what)
{
	if (!world_violation)
		world_violation = what;
}

void queue_push(struct queue *queue, uint8_t item)
{
	if (queue->count == MODEL_QUEUE)
		world_blame("the model's queue is too short");
	else
		queue->items[queue->count++] = item;
}

uint8_t queue_pop(struct queue *queue)
{
	uint8_t item = queue->items[0];

	memmove(queue->items, queue->items + 1, MODEL_QUEUE - 1);
	queue->items[MODEL_QUEUE - 1] = 0;
	queue->count--;
	return item;
}

void world_begin(struct world *world, const struct variant *variant)
{
	world_variant = variant;
	world_violation = NULL;
	memset(world, 0, sizeof(*world));
	world->budget = variant->budget;
	session_begin(world);
}

static void pay(struct world *world, struct event event)
{
	struct budget *budget = &world->budget;

	if (event.kind >= EVENT_KILL_AGENT && event.kind <= EVENT_STOP_FREEZER)
		budget->faults--;
	if ((event.kind == EVENT_HEARTBEAT || event.kind == EVENT_LINK_GONE) && event.value)
		budget->faults--;
	if ((event.kind == EVENT_KERNEL_ANSWERS || event.kind == EVENT_CHILD_ANSWERED ||
	     event.kind == EVENT_ORPHAN_ANSWERED) &&
	    event.value == ANSWER_EIO)
		budget->errors--;
	if ((event.kind == EVENT_PREPARED && event.value && event.value != 3) ||
	    event.kind == EVENT_WAY_FAILS)
		budget->errors--;
	if (event.kind == EVENT_PREPARED && event.value == 3)
		budget->changes--;
	if (event.kind == EVENT_HOOK_ENDS)
		budget->faults--;
	if ((event.kind == EVENT_FOREIGN_THAW && !event.value) ||
	    event.kind == EVENT_FOREIGN_FREEZE || event.kind == EVENT_WRITE)
		budget->foreign--;
	if (event.kind == EVENT_GIVE_UP)
		budget->give_ups--;
	if (event.kind == EVENT_STOP)
		budget->stops--;
}

/* One that was refused costs nothing, and leads nowhere. */
static void ask(struct world *world, struct event event)
{
	struct budget *budget = &world->budget;
	uint8_t waited = world->agent.freeze_waits;

	session_ask(world, event.index, event.value);
	if (event.value == WISH_FREEZE)
		budget->freezes -= world->agent.freeze_waits != waited;
	else if (event.value == WISH_THAW)
		budget->thaws--;
	else
		budget->extends--;
}

static void apply_freezer(struct world *world, struct event event)
{
	switch (event.kind) {
	case EVENT_READ:
		freezer_read(world);
		break;
	case EVENT_SEES_AGENT_GONE:
		freezer_see_agent_gone(world);
		break;
	case EVENT_COLLECT:
		freezer_collect(world, event.index);
		break;
	case EVENT_THREAD_RUNS:
		thread_run(world, event.index);
		break;
	case EVENT_BEAT:
		freezer_beat(world);
		break;
	case EVENT_FREEZER_ENDS:
		world->freezer = (struct freezer){.process = PROCESS_DEAD};
		break;
	default:
		freezer_tick(world, event);
	}
}

static void forget_orphan(struct target *target)
{
	if (target->orphan == CHILD_ENDED)
		target->orphan = target->orphan_id = 0;
}

static void apply_kernel(struct world *world, struct event event)
{
	struct target *target = &world->targets[event.index];

	switch (event.kind) {
	case EVENT_KERNEL_ANSWERS:
		thread_answered(world, event.index, event.value);
		break;
	case EVENT_CHILD_RUNS:
		child_run(world, event.index, &target->child);
		break;
	case EVENT_CHILD_ANSWERED:
		child_answered(world, event.index, &target->child, event.value);
		break;
	case EVENT_ORPHAN_RUNS:
		child_run(world, event.index, &target->orphan);
		forget_orphan(target);
		break;
	case EVENT_ORPHAN_ANSWERED:
		child_answered(world, event.index, &target->orphan, event.value);
		forget_orphan(target);
		break;
	}
}

static void apply_agent(struct world *world, struct event event)
{
	switch (event.kind) {
	case EVENT_HEAR:
		session_hear(world);
		break;
	case EVENT_LINK_GONE:
		session_link_gone(world);
		break;
	case EVENT_PREPARED:
		session_prepared(world, event.value);
		break;
	case EVENT_TABLES_READ:
		session_tables_read(world);
		break;
	case EVENT_DROP:
		session_drop(world);
		break;
	case EVENT_LIMIT:
		session_limit(world);
		break;
	case EVENT_HOOK_LOSS_HEARD:
		session_hook_lost(world);
		break;
	case EVENT_RELEASED:
		session_released(world);
		break;
	case EVENT_LOOK:
		session_look(world);
		break;
	case EVENT_RETRY_DUE:
		world->targets[event.index].is_tried = false;
		break;
	case EVENT_RETRY_TIMER:
		session_retry_timer(world);
		break;
	case EVENT_LEAVE_TIMER:
		session_leave(world);
		break;
	case EVENT_RECOVERY:
		recovery_step(world);
		break;
	case EVENT_WAY_FAILS:
		recovery_way_fails(world, event.index);
		break;
	}
}

static void apply_others(struct world *world, struct event event)
{
	switch (event.kind) {
	case EVENT_ASK:
		ask(world, event);
		break;
	case EVENT_GIVE_UP:
		session_give_up(world, event.index);
		break;
	case EVENT_STOP:
		session_stop(world);
		break;
	case EVENT_RESTART:
		session_begin(world);
		break;
	case EVENT_HOOK_ENDS:
		world->hook_lost = true;
		break;
	case EVENT_FOREIGN_FREEZE:
	case EVENT_FOREIGN_THAW:
	case EVENT_WRITE:
		kernel_foreign(world, event);
		break;
	default:
		process_apply(world, event);
	}
}

void world_apply(struct world *world, struct event event)
{
	world_violation = NULL;
	pay(world, event);
	if (event.kind < EVENT_KERNEL_ANSWERS)
		apply_freezer(world, event);
	else if (event.kind < EVENT_HEAR)
		apply_kernel(world, event);
	else if (event.kind < EVENT_ASK)
		apply_agent(world, event);
	else
		apply_others(world, event);
	properties_check(world);
}
