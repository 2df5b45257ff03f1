/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The freezer's loop: what main.c does around the real core (take_message, collect_done,
 * agent_gone, carry_out, note_phase, forget_plan). Its invariant: the core is filled from the world
 * before each event and poured back after it, so that the world is all that there is.
 *
 * Time has no length here: each timer that sf_core_wake_at() has armed may go off now, or any other
 * first.
 */
#include <string.h>

#include "agent/freezer/core.h"
#include "qa/model/parts.h"

#define NOW_MS 1000000
#define FAR_MS (NOW_MS * 2)
#define STALE 1000

static struct sf_core core;

static const struct sf_clock now = {NOW_MS, NOW_MS};

static struct sf_message message(enum sf_message_kind kind)
{
	return (struct sf_message){.magic = SF_MESSAGE_MAGIC, .kind = kind, .index = -1};
}

/* The plan's edges, as take_edges() links them; they never change within a walk. */
static void link_edges(void)
{
	core.edge_count = 0;
	for (unsigned int i = 0; i < core.count; i++)
		core.targets[i].leaving = core.targets[i].coming = SF_NO_EDGE;
	for (unsigned int i = 0; i + 1 < core.count; i++) {
		if (!(world_variant->edges & 1u << i))
			continue;
		unsigned int e = core.edge_count++;
		core.edges[e] = (struct sf_core_edge){i, i + 1, SF_NO_EDGE, SF_NO_EDGE};
		core.targets[i].leaving = core.targets[i + 1].coming = e;
	}
}

static void fill_target(struct sf_target *target, const struct target *from, unsigned int index)
{
	target->job = from->job;
	target->is_frozen = from->is_frozen;
	target->is_slow = from->is_slow;
	target->is_barrier = world_variant->barriers >> index & 1;
	target->since_ms = NOW_MS;
}

static void fill_core(const struct world *world)
{
	const struct freezer *freezer = &world->freezer;

	core.phase = freezer->phase;
	core.next = freezer->next;
	core.running = freezer->running;
	core.frozen = freezer->frozen;
	core.reason = freezer->reason;
	core.told_draining = freezer->told_draining;
	core.agent_gone = freezer->agent_gone;
	core.count = core.fd_count = target_count();
	core.parallel = world_variant->parallel;
	core.accept_foreign = world_variant->accept_foreign;
	core.until_ms = core.deadline_ms = core.maximum_ms = FAR_MS;
	core.heartbeat_until_ms = freezer->missed_beat ? UINT64_MAX : FAR_MS;
	core.lease_ms = FAR_MS;
	/* What the event before asked for was carried out: whoever does so again is seen. */
	core.start_count = core.tell_count = STALE;
	for (unsigned int i = 0; i < target_count(); i++)
		fill_target(&core.targets[i], &world->targets[i], i);
	link_edges();
}

static void pour_core(struct world *world)
{
	struct freezer *freezer = &world->freezer;
	bool is_idle = core.phase == SF_PHASE_IDLE;

	freezer->phase = core.phase;
	freezer->next = is_idle ? 0 : core.next;
	freezer->running = core.running;
	freezer->frozen = core.frozen;
	freezer->reason = is_idle ? 0 : core.reason;
	freezer->told_draining = is_idle ? 0 : core.told_draining;
	freezer->agent_gone = core.agent_gone;
	freezer->missed_beat = core.heartbeat_until_ms == UINT64_MAX;
	for (unsigned int i = 0; i < target_count(); i++) {
		world->targets[i].job = core.targets[i].job;
		world->targets[i].is_frozen = core.targets[i].is_frozen;
		world->targets[i].is_slow = core.targets[i].is_slow;
	}
}

/* sf_workers_stop() would wait for a thread that is at work, for ever. */
static void forget_plan(struct world *world)
{
	for (unsigned int i = 0; i < target_count(); i++) {
		if (world->targets[i].op != OP_NONE || world->targets[i].done)
			world_blame("the plan is forgotten while a thread is at work");
		if (world->targets[i].kernel == KERNEL_OURS)
			world_blame("the plan is forgotten while something of ours is frozen");
	}
}

/* Into three bits; the freezer never says that it is gone. */
static unsigned int pack_reason(enum sf_end reason)
{
	return reason == SF_END_STOPPED ? SF_END_FREEZER_GONE : reason;
}

static void carry_out_tell(struct world *world, const struct sf_tell *tell)
{
	struct freezer *freezer = &world->freezer;

	/* note_phase() */
	if (tell->kind == SF_MESSAGE_ENDING) {
		world->record.end = tell->reason;
		freezer->is_ending = true;
		if (tell->reason != SF_END_REQUEST)
			property_spoil(world);
	}
	if (freezer->is_orphan || tell->kind == SF_MESSAGE_ALIVE)
		return;
	unsigned int more = tell->kind == SF_MESSAGE_ENDING   ? pack_reason(tell->reason)
			    : tell->kind == SF_MESSAGE_FROZEN ? core.frozen
							      : 0;
	queue_push(&world->agent.inbox, tell->kind | more << 5);
}

static void carry_out(struct world *world)
{
	if (core.tell_count == STALE) {
		world_blame("what was carried out is carried out again");
		return;
	}
	pour_core(world);
	for (unsigned int i = 0; i < core.start_count; i++) {
		property_start(world, core.starts[i].index,
			       core.starts[i].job == SF_JOB_FREEZE ? OP_FREEZE
			       : core.starts[i].job == SF_JOB_THAW ? OP_THAW
								   : OP_FLUSH);
		thread_give(world, core.starts[i].index);
	}
	/* sf_limits_restore() */
	if (core.restore && world->record.limits)
		world->is_limited = false;
	if (core.phase == SF_PHASE_FROZEN && world->is_limited)
		world_blame("all is frozen, and the limits are not restored");
	if (core.forget)
		forget_plan(world);
	for (unsigned int i = 0; i < core.tell_count; i++)
		carry_out_tell(world, &core.tells[i]);
	if (core.leave) {
		property_freezer_leaves(world);
		freezer_kill(world); /* _exit() does to the threads what SIGKILL does */
	}
}

void freezer_start(struct world *world)
{
	if (world->freezer.process != PROCESS_DEAD)
		world_blame("a second freezer is started");
	memset(&world->freezer, 0, sizeof(world->freezer));
	for (unsigned int i = 0; i < target_count(); i++) {
		struct target *target = &world->targets[i];
		target->job = target->is_frozen = target->is_slow = target->done = 0;
	}
	world->freezer.process = PROCESS_ALIVE;
	world->freezer.missed_beat = true; /* sf_core_init() */
	world->record.knows_freezer = true;
}

/* main.c's agent_gone() */
static void agent_gone(struct world *world)
{
	world->freezer.inbox = (struct queue){0};
	sf_core_agent_gone(&core, now);
	carry_out(world);
}

void freezer_see_agent_gone(struct world *world)
{
	fill_core(world);
	world->freezer.signs++;
	agent_gone(world);
}

static void take(struct world *world, const struct sf_message *taken, unsigned int fd_count)
{
	if (world->freezer.process != PROCESS_ALIVE || core.agent_gone)
		return;
	if (sf_core_message(&core, taken, fd_count, now)) {
		carry_out(world);
		return;
	}
	/* Nothing that our agent sends may be taken for nonsense, however messages cross. */
	world_blame("the freezer refuses what the agent says");
	agent_gone(world);
}

static void take_plan(struct world *world)
{
	struct sf_message taken = message(SF_MESSAGE_PLAN);

	taken.count = target_count();
	taken.value = world_variant->parallel;
	taken.flag = world_variant->accept_foreign;
	take(world, &taken, 0);
	taken = message(SF_MESSAGE_TARGETS);
	taken.index = 0;
	taken.count = target_count();
	for (unsigned int i = 0; i < target_count(); i++)
		taken.barrier[i] = world_variant->barriers >> i & 1;
	take(world, &taken, target_count());
	taken = message(SF_MESSAGE_EDGES);
	for (unsigned int i = 0; i + 1 < target_count(); i++)
		if (world_variant->edges & 1u << i)
			taken.edges[taken.count++] = (struct sf_edge){i, i + 1};
	if (taken.count > 0)
		take(world, &taken, 0);
}

static void take_other(struct world *world, enum to_freezer what)
{
	static const uint8_t kinds[] = {
		[SAY_FLUSH] = SF_MESSAGE_FLUSH,   [SAY_FREEZE] = SF_MESSAGE_FREEZE,
		[SAY_EXTEND] = SF_MESSAGE_EXTEND, [SAY_THAW] = SF_MESSAGE_THAW,
		[SAY_STOP] = SF_MESSAGE_THAW,
	};
	struct sf_message taken = message(kinds[what]);

	/* prepare() */
	if (what == SAY_FLUSH && core.phase == SF_PHASE_LOADED)
		world->freezer.is_ending = false;
	if (what == SAY_FREEZE)
		world->record.begun = true;
	taken.reason = what == SAY_THAW ? SF_END_REQUEST : what == SAY_STOP ? SF_END_STOPPED : 0;
	taken.value = taken.lease = taken.maximum = FAR_MS;
	take(world, &taken, 0);
}

void freezer_read(struct world *world)
{
	enum to_freezer what = queue_pop(&world->freezer.inbox);

	fill_core(world);
	if (what == SAY_PLAN)
		take_plan(world);
	else
		take_other(world, what);
}

/* Beats that come in time change nothing, so only the first after a missed one is walked. */
void freezer_beat(struct world *world)
{
	struct sf_message taken = message(SF_MESSAGE_HEARTBEAT);

	fill_core(world);
	take(world, &taken, 0);
}

/* collect_done() */
void freezer_collect(struct world *world, unsigned int index)
{
	struct target *target = &world->targets[index];
	int error = answer_errno(target->done - 1);

	target->done = 0;
	fill_core(world);
	sf_core_done(&core, index, error, now);
	carry_out(world);
}

static void let_time_pass(struct event event)
{
	if (event.kind == EVENT_DEADLINE)
		core.deadline_ms = NOW_MS;
	else if (event.kind == EVENT_TIMEOUT)
		core.until_ms = NOW_MS;
	else if (event.kind == EVENT_HEARTBEAT)
		core.heartbeat_until_ms = NOW_MS;
	else
		core.targets[event.index].since_ms = NOW_MS - SF_HEARTBEAT_LIMIT_MS;
}

static bool wakes(void)
{
	struct sf_clock at = sf_core_wake_at(&core);

	return at.boottime_ms <= NOW_MS || at.monotonic_ms <= NOW_MS;
}

bool freezer_is_armed(const struct world *world, struct event event)
{
	fill_core(world);
	let_time_pass(event);
	return wakes();
}

void freezer_tick(struct world *world, struct event event)
{
	fill_core(world);
	let_time_pass(event);
	sf_core_tick(&core, now);
	if (event.kind != EVENT_TARGET_TIME)
		world->ghost.is_late = true;
	if (!core.leave && wakes())
		world_blame("the freezer's timer goes off again and again");
	carry_out(world);
}

/* Killed, or ended: its threads are gone but those in the kernel, which stay until it answers. */
void freezer_kill(struct world *world)
{
	struct freezer *freezer = &world->freezer;
	bool has_threads = false;

	for (unsigned int i = 0; i < target_count(); i++) {
		struct target *target = &world->targets[i];
		if (target->answer != ANSWER_NONE)
			kernel_forget_answer(target, target->op, target->answer);
		if (!op_is_in_kernel(target))
			target->op = OP_NONE;
		has_threads |= target->op != OP_NONE;
		target->job = target->is_frozen = target->is_slow = target->done = 0;
		target->answer = target->path = 0;
	}
	*freezer = (struct freezer){.process = has_threads ? PROCESS_KILLED : PROCESS_DEAD,
				    .is_orphan = has_threads && freezer->is_orphan};
}
