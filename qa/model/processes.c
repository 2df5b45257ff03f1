/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deaths, stops and restarts of the processes, as a kernel and a supervisor bring them. */
#include "qa/model/parts.h"

static bool is_at_work(uint8_t child)
{
	return child != CHILD_NONE && child != CHILD_ENDED;
}

/* Killed, left or ended: its sockets are closed, its children go on without it. */
void agent_end(struct world *world)
{
	property_spoil(world);
	for (unsigned int i = 0; i < target_count(); i++) {
		struct target *target = &world->targets[i];
		if (is_at_work(target->child) && target->orphan == CHILD_NONE)
			target->orphan = target->child, target->orphan_id = target->child_id;
		target->child = target->child_id = target->is_tried = 0;
	}
	world->freezer.is_orphan = world->freezer.process != PROCESS_DEAD;
	world->agent = (struct agent){.process = PROCESS_DEAD};
	/* Whoever waited sees its channel close. */
	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		world->hosts[i].wish = WISH_NONE;
}

/* The control group, as systemd kills it. */
static void kill_all(struct world *world)
{
	agent_end(world);
	for (unsigned int i = 0; i < target_count(); i++) {
		struct target *target = &world->targets[i];
		target->orphan = child_is_within_thaw(target->orphan) ? CHILD_KILLED : CHILD_NONE;
		if (!target->orphan)
			target->orphan_id = 0;
	}
	if (world->freezer.process == PROCESS_ALIVE || world->freezer.process == PROCESS_STOPPED)
		freezer_kill(world);
}

void process_apply(struct world *world, struct event event)
{
	switch (event.kind) {
	case EVENT_KILL_AGENT:
	case EVENT_WATCHDOG:
		agent_end(world);
		break;
	case EVENT_KILL_FREEZER:
		property_spoil(world);
		freezer_kill(world);
		break;
	case EVENT_KILL_ALL:
		kill_all(world);
		break;
	case EVENT_STOP_AGENT:
		world->agent.process = PROCESS_STOPPED;
		break;
	case EVENT_STOP_FREEZER:
		world->freezer.process = PROCESS_STOPPED;
		break;
	case EVENT_CONTINUE_AGENT:
		world->agent.process = PROCESS_ALIVE;
		break;
	case EVENT_CONTINUE_FREEZER:
		world->freezer.process = PROCESS_ALIVE;
		break;
	}
}
