/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's end of the freezer, by what agent/freezer-link.h promises. Called by the glue. */
#include "agent/freezer/messages.h"
#include "qa/model/parts.h"

void link_start(struct world *world)
{
	struct agent *agent = &world->agent;

	if (agent->has_link)
		return;
	freezer_start(world);
	agent->has_link = true;
	agent->is_gone = agent->ticks = agent->acknowledge = agent->has_deadline = false;
	agent->inbox = (struct queue){0};
}

void link_free(struct world *world)
{
	struct agent *agent = &world->agent;

	agent->has_link = agent->is_gone = agent->ticks = agent->acknowledge = false;
	agent->has_deadline = false;
	agent->inbox = (struct queue){0};
	world->freezer.is_orphan = world->freezer.process != PROCESS_DEAD;
}

bool link_send(struct world *world, enum to_freezer what)
{
	if (!world->agent.has_link) {
		world_blame("a message to a freezer that was let go of");
		return false;
	}
	if (world->agent.is_gone)
		return false;
	if (world->freezer.process == PROCESS_ALIVE || world->freezer.process == PROCESS_STOPPED)
		if (!world->freezer.agent_gone)
			queue_push(&world->freezer.inbox, what);
	return true;
}

void link_send_thaw(struct world *world, enum to_freezer what)
{
	world->agent.acknowledge = true;
	(void)link_send(world, what);
}

void link_note_message(struct agent *agent, unsigned int kind)
{
	if (kind == SF_MESSAGE_FROZEN || kind == SF_MESSAGE_EXTENDED)
		agent->has_deadline = true;
	if (kind == SF_MESSAGE_ENDING || kind == SF_MESSAGE_ENDED)
		agent->acknowledge = false;
	if (kind == SF_MESSAGE_ENDING)
		agent->has_deadline = false;
	if (kind == SF_MESSAGE_ENDED)
		agent->ticks = false;
}

bool link_is_watched(const struct world *world)
{
	const struct agent *agent = &world->agent;

	return agent->has_link && !agent->is_gone;
}
