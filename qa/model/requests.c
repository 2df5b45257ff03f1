/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What hosts ask: agent/session-requests.c, and sf_session_stop(). */
#include "agent/freezer/messages.h"
#include "agent/freezer/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

static void forget_last_freeze(struct agent *agent)
{
	agent->outcome_id = agent->outcome_frozen = agent->is_consistent = agent->is_blamed = 0;
	agent->outcome_host = agent->thawed_by = 0;
	agent->has_plan = false;
	agent->looks = LOOK_NONE;
	agent->tries = agent->has_run_hooks = 0;
}

static void ask_freeze(struct world *world, unsigned int host)
{
	struct agent *agent = &world->agent;

	if (session_transit(agent, SF_EVENT_FREEZE) & SF_DO_REFUSE_FREEZE) {
		property_answer(world, host, WISH_FREEZE, false);
		return;
	}
	property_freeze_begins(world);
	agent->freeze_waits = 1 + host;
	forget_last_freeze(agent);
	agent->outcome_id = world->record.id + 1;
	agent->outcome_host = host;
	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		world->hosts[i].was_told_frozen = false;
	world->ghost = (struct ghost){0};
	link_start(world);
	agent->preparation = PREPARATION_OPENS;
}

static void ask_thaw(struct world *world, unsigned int host)
{
	struct agent *agent = &world->agent;

	bool is_frozen = agent->state == SF_STATE_FROZEN;

	if ((is_frozen && !agent->looks) || agent->state == SF_STATE_FREEZING)
		agent->thawed_by = host;
	if (!is_frozen)
		session_handle(world, SF_EVENT_THAW);
	else if (!agent->looks)
		agent->looks = LOOK_BEFORE_THAW;
}

static void ask_extend(struct world *world, unsigned int host)
{
	struct agent *agent = &world->agent;

	if (agent->state == SF_STATE_FROZEN && !agent->extend_waits && link_send(world, SAY_EXTEND))
		agent->extend_waits = 1 + host;
	else
		property_answer(world, host, WISH_EXTEND, false);
}

void session_ask(struct world *world, unsigned int host, enum wish wish)
{
	world->hosts[host].wish = wish;
	if (wish == WISH_FREEZE)
		ask_freeze(world, host);
	else if (wish == WISH_THAW)
		ask_thaw(world, host);
	else
		ask_extend(world, host);
}

void session_give_up(struct world *world, unsigned int host)
{
	if (world->agent.freeze_waits == 1 + host && world->agent.state == SF_STATE_PREPARING)
		session_handle(world, SF_EVENT_GIVEN_UP);
}

void session_stop(struct world *world)
{
	world->agent.leave = true;
	session_handle(world, SF_EVENT_STOP);
}
