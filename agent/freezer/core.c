/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The freezer's state machine; core.h says what it promises. Called by main.c with events, which
 * then carries out the actions. Targets are in freezing order: a freeze goes up, a thaw comes down.
 */
#include <errno.h>
#include <string.h>

#include "agent/freezer/gates.h"

void sf_core_init(struct sf_core *core)
{
	memset(core, 0, sizeof(*core));
	core->heartbeat_until_ms = UINT64_MAX;
}

static void tell(struct sf_core *core, enum sf_message_kind kind, int index, int error)
{
	/* No event tells more than a few things; the bound is for the reader's peace. */
	if (core->tell_count == SF_CORE_MAX_TELLS)
		return;
	core->tells[core->tell_count++] = (struct sf_tell){.kind = kind,
							   .index = index,
							   .error = error,
							   .reason = core->reason};
}

static void tell_lease(struct sf_core *core, enum sf_message_kind kind, struct sf_clock now)
{
	tell(core, kind, -1, 0);
	core->tells[core->tell_count - 1].lease =
		core->deadline_ms > now.boottime_ms ? core->deadline_ms - now.boottime_ms : 0;
}

static void start(struct sf_core *core, unsigned int index, enum sf_job job)
{
	core->targets[index].job = job;
	core->running++;
	core->starts[core->start_count++] = (struct sf_start){job, index};
}

static void begin_event(struct sf_core *core)
{
	core->start_count = core->tell_count = 0;
	core->restore = core->forget = core->leave = false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Ends whatever is under way. From here on the only way is down: there is no path back to frozen.
 */
static void begin_ending(struct sf_core *core, enum sf_end reason, int index, int error)
{
	if (core->phase == SF_PHASE_IDLE || core->phase == SF_PHASE_ENDING)
		return;
	core->phase = SF_PHASE_ENDING;
	core->reason = reason;
	core->told_draining = false;
	core->restore = true;
	tell(core, SF_MESSAGE_ENDING, index, error);
}

static unsigned int first_running(const struct sf_core *core)
{
	for (unsigned int i = 0; i < core->count; i++)
		if (core->targets[i].job != SF_JOB_NONE)
			return i;
	return 0;
}

/* Begins are in order, so all that @next depends on has at least been begun. */
static void advance_freezing(struct sf_core *core, struct sf_clock now)
{
	while (core->next < core->count && core->running < core->parallel &&
	       !sf_gates_freeze_must_wait(core, core->next))
		start(core, core->next++, SF_JOB_FREEZE);
	if (core->next < core->count || core->running > 0)
		return;
	core->phase = SF_PHASE_FROZEN;
	core->restore = true;
	core->deadline_ms = earlier(now.boottime_ms + core->lease_ms, core->maximum_ms);
	tell_lease(core, SF_MESSAGE_FROZEN, now);
}

static bool retry_is_due(const struct sf_target *target, struct sf_clock now)
{
	return !target->is_slow || now.boottime_ms >= target->since_ms + SF_THAW_RETRY_MS;
}

static void finish_ending(struct sf_core *core)
{
	tell(core, SF_MESSAGE_ENDED, -1, 0);
	core->phase = SF_PHASE_IDLE;
	core->forget = true;
}

static void advance_ending(struct sf_core *core, struct sf_clock now)
{
	for (unsigned int i = core->count; i-- > 0;) {
		struct sf_target *target = &core->targets[i];
		if (!target->is_frozen || target->job != SF_JOB_NONE ||
		    !retry_is_due(target, now) || sf_gates_thaw_must_wait(core, i))
			continue;
		target->since_ms = now.boottime_ms;
		start(core, i, SF_JOB_THAW);
	}
	if (core->frozen > 0)
		return;
	if (core->running == 0) {
		finish_ending(core);
	} else if (!core->told_draining) {
		core->told_draining = true;
		tell(core, SF_MESSAGE_DRAINING, (int)first_running(core), 0);
	}
}

static void advance(struct sf_core *core, struct sf_clock now)
{
	if (core->phase == SF_PHASE_FLUSHING && core->running == 0) {
		core->phase = SF_PHASE_FLUSHED;
		tell(core, SF_MESSAGE_FLUSHED, -1, 0);
	}
	if (core->phase == SF_PHASE_FREEZING)
		advance_freezing(core, now);
	if (core->phase == SF_PHASE_ENDING)
		advance_ending(core, now);
	if (core->agent_gone && core->phase == SF_PHASE_IDLE)
		core->leave = true;
}

static bool take_plan(struct sf_core *core, const struct sf_message *message, struct sf_clock now)
{
	if (core->phase != SF_PHASE_IDLE || message->count > SF_RECORD_MAX_ENTRIES ||
	    message->value == 0)
		return false;
	core->phase = SF_PHASE_LOADED;
	core->heartbeat_until_ms = now.monotonic_ms + SF_HEARTBEAT_LIMIT_MS;
	core->count = message->count;
	core->parallel = earlier(message->value, SF_RECORD_MAX_ENTRIES);
	core->accept_foreign = message->flag;
	core->edge_count = core->fd_count = core->next = core->running = core->frozen = 0;
	core->reason = SF_END_NONE;
	for (unsigned int i = 0; i < core->count; i++)
		core->targets[i] = (struct sf_target){.leaving = SF_NO_EDGE, .coming = SF_NO_EDGE};
	return true;
}

static bool take_targets(struct sf_core *core, const struct sf_message *message,
			 unsigned int fd_count)
{
	if (core->phase != SF_PHASE_LOADED || fd_count != message->count || fd_count == 0 ||
	    fd_count > core->count - core->fd_count || message->index != (int)core->fd_count)
		return false;
	for (unsigned int i = 0; i < fd_count; i++)
		core->targets[core->fd_count++].is_barrier = message->barrier[i] != 0;
	return true;
}

static bool take_edges(struct sf_core *core, const struct sf_message *message)
{
	if (core->phase != SF_PHASE_LOADED || message->count > SF_MESSAGE_MAX_EDGES ||
	    message->count > SF_MAX_EDGES - core->edge_count)
		return false;
	for (unsigned int i = 0; i < message->count; i++) {
		struct sf_edge edge = message->edges[i];
		/* An edge that runs against the order would wait for ever. */
		if (edge.before >= edge.after || edge.after >= core->count)
			return false;
		sf_gates_add(core, edge);
	}
	return true;
}

static bool take_flush(struct sf_core *core, const struct sf_message *message, struct sf_clock now)
{
	bool is_again = core->phase == SF_PHASE_FLUSHED;

	if ((core->phase != SF_PHASE_LOADED && !is_again) || core->fd_count != core->count)
		return false;
	core->phase = SF_PHASE_FLUSHING;
	core->until_ms = now.boottime_ms + message->value;
	for (unsigned int i = 0; i < core->count; i++)
		start(core, i, SF_JOB_FLUSH);
	return true;
}

static bool take_freeze(struct sf_core *core, const struct sf_message *message, struct sf_clock now)
{
	if (core->phase != SF_PHASE_FLUSHED || message->lease == 0)
		return false;
	core->phase = SF_PHASE_FREEZING;
	core->until_ms = now.boottime_ms + message->value;
	core->lease_ms = message->lease;
	core->maximum_ms = now.boottime_ms + message->maximum;
	core->heartbeat_until_ms = now.monotonic_ms + SF_HEARTBEAT_LIMIT_MS;
	return true;
}

static void take_extend(struct sf_core *core, const struct sf_message *message, struct sf_clock now)
{
	/* One that crosses the end on its way is too late, not wrong. */
	if (core->phase != SF_PHASE_FROZEN)
		return;
	core->deadline_ms = earlier(now.boottime_ms + message->lease, core->maximum_ms);
	tell_lease(core, SF_MESSAGE_EXTENDED, now);
}

static bool take_message(struct sf_core *core, const struct sf_message *message,
			 unsigned int fd_count, struct sf_clock now)
{
	if (fd_count > 0 && message->kind != SF_MESSAGE_TARGETS)
		return false;
	switch (message->kind) {
	case SF_MESSAGE_PLAN:
		return take_plan(core, message, now);
	case SF_MESSAGE_TARGETS:
		return take_targets(core, message, fd_count);
	case SF_MESSAGE_EDGES:
		return take_edges(core, message);
	case SF_MESSAGE_FLUSH:
		return take_flush(core, message, now);
	case SF_MESSAGE_FREEZE:
		return take_freeze(core, message, now);
	case SF_MESSAGE_EXTEND:
		take_extend(core, message, now);
		return true;
	case SF_MESSAGE_THAW:
		begin_ending(core, message->reason, -1, 0);
		return true;
	case SF_MESSAGE_HEARTBEAT:
		core->heartbeat_until_ms = now.monotonic_ms + SF_HEARTBEAT_LIMIT_MS;
		tell(core, SF_MESSAGE_ALIVE, -1, 0);
		return true;
	default:
		return false;
	}
}

bool sf_core_message(struct sf_core *core, const struct sf_message *message, unsigned int fd_count,
		     struct sf_clock now)
{
	begin_event(core);
	bool is_good = take_message(core, message, fd_count, now);
	if (is_good)
		advance(core, now);
	return is_good;
}

static void freeze_done(struct sf_core *core, unsigned int index, int error)
{
	if (error == 0) {
		core->targets[index].is_frozen = true;
		core->frozen++;
		return;
	}
	/* Not an error: its thread has synced it instead. */
	if (error == EOPNOTSUPP || (error == EBUSY && core->accept_foreign))
		return;
	begin_ending(core, SF_END_FAILED, (int)index, error);
}

static void thaw_done(struct sf_core *core, unsigned int index, int error, struct sf_clock now)
{
	struct sf_target *target = &core->targets[index];

	/* EINVAL: it was not frozen any more; somebody else thawed it. */
	if (error == 0 || error == EINVAL) {
		target->is_frozen = target->is_slow = false;
		core->frozen--;
		return;
	}
	target->is_slow = true;
	target->since_ms = now.boottime_ms;
	tell(core, SF_MESSAGE_SLOW, (int)index, error);
}

void sf_core_done(struct sf_core *core, unsigned int index, int error, struct sf_clock now)
{
	begin_event(core);
	enum sf_job job = core->targets[index].job;
	core->targets[index].job = SF_JOB_NONE;
	core->running--;
	if (job == SF_JOB_FLUSH && error != 0)
		begin_ending(core, SF_END_FAILED, (int)index, error);
	else if (job == SF_JOB_FREEZE)
		freeze_done(core, index, error);
	else if (job == SF_JOB_THAW)
		thaw_done(core, index, error, now);
	advance(core, now);
}

static bool is_slow_now(const struct sf_target *target, struct sf_clock now)
{
	return target->job == SF_JOB_THAW && !target->is_slow &&
	       now.boottime_ms >= target->since_ms + SF_SLOW_THAW_MS;
}

static void tick_ending(struct sf_core *core, struct sf_clock now)
{
	for (unsigned int i = 0; i < core->count; i++) {
		struct sf_target *target = &core->targets[i];
		if (!is_slow_now(target, now))
			continue;
		target->is_slow = true;
		/* Where everything hangs, a few names tell it; the end must still find room. */
		if (core->tell_count < SF_CORE_MAX_TELLS / 2)
			tell(core, SF_MESSAGE_SLOW, (int)i, 0);
	}
}

static bool holds_writers(const struct sf_core *core)
{
	return core->phase == SF_PHASE_FREEZING || core->phase == SF_PHASE_FROZEN;
}

/* Where nothing is frozen yet, or any more, a hung agent may go on when it wakes up; but writers
 * must not be slowed down until then. Even after the end: of that it may not have heard when it
 * lowered the limits once more. */
static void miss_heartbeat(struct sf_core *core)
{
	if (holds_writers(core))
		begin_ending(core, SF_END_HEARTBEAT, -1, 0);
	core->restore = true;
	core->heartbeat_until_ms = UINT64_MAX;
}

void sf_core_tick(struct sf_core *core, struct sf_clock now)
{
	begin_event(core);
	bool has_timeout = core->phase == SF_PHASE_FLUSHING || core->phase == SF_PHASE_FREEZING;

	if (core->phase == SF_PHASE_FROZEN && now.boottime_ms >= core->deadline_ms)
		begin_ending(core, SF_END_DEADLINE, -1, 0);
	if (has_timeout && now.boottime_ms >= core->until_ms)
		begin_ending(core, SF_END_TIMEOUT, (int)first_running(core), ETIMEDOUT);
	if (now.monotonic_ms >= core->heartbeat_until_ms)
		miss_heartbeat(core);
	if (core->phase == SF_PHASE_ENDING)
		tick_ending(core, now);
	advance(core, now);
}

void sf_core_agent_gone(struct sf_core *core, struct sf_clock now)
{
	begin_event(core);
	core->agent_gone = core->restore = true;
	/* Before the first FIFREEZE there is nothing to undo, and a flush needs no witness. */
	if (core->phase < SF_PHASE_FREEZING)
		core->phase = SF_PHASE_IDLE;
	else
		begin_ending(core, SF_END_AGENT_GONE, -1, 0);
	advance(core, now);
}

static uint64_t next_thaw_check(const struct sf_core *core)
{
	uint64_t at = UINT64_MAX;

	for (unsigned int i = 0; i < core->count; i++) {
		const struct sf_target *target = &core->targets[i];
		if (target->job == SF_JOB_THAW && !target->is_slow)
			at = earlier(at, target->since_ms + SF_SLOW_THAW_MS);
		else if (target->job == SF_JOB_NONE && target->is_frozen && target->is_slow &&
			 /* Where it must wait for another, that one's end is the event; a time that
			  * has passed would wake us again and again. */
			 !sf_gates_thaw_must_wait(core, i))
			at = earlier(at, target->since_ms + SF_THAW_RETRY_MS);
	}
	return at;
}

struct sf_clock sf_core_wake_at(const struct sf_core *core)
{
	struct sf_clock at = {UINT64_MAX, core->heartbeat_until_ms};

	if (core->phase == SF_PHASE_FLUSHING || core->phase == SF_PHASE_FREEZING)
		at.boottime_ms = core->until_ms;
	else if (core->phase == SF_PHASE_FROZEN)
		at.boottime_ms = core->deadline_ms;
	else if (core->phase == SF_PHASE_ENDING)
		at.boottime_ms = next_thaw_check(core);
	return at;
}
