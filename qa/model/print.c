/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The model in words, for counterexamples. */
#include <stdio.h>

#include "agent/freezer/core.h"
#include "agent/freezer/record.h"
#include "agent/record.h"
#include "agent/transitions.h"
#include "qa/model/parts.h"

static const char *const events[EVENT_KINDS] = {
	[EVENT_READ] = "the freezer reads",
	[EVENT_SEES_AGENT_GONE] = "the freezer sees that its agent is gone",
	[EVENT_COLLECT] = "the freezer collects the job of",
	[EVENT_DEADLINE] = "the deadline passes",
	[EVENT_TIMEOUT] = "flush-timeout or freeze-timeout passes",
	[EVENT_HEARTBEAT] = "the heartbeat's limit passes",
	[EVENT_TARGET_TIME] = "a thaw is slow, or its retry due:",
	[EVENT_BEAT] = "the freezer hears a heartbeat again",
	[EVENT_THREAD_RUNS] = "the freezer's thread runs on:",
	[EVENT_FREEZER_ENDS] = "the last thread of the killed freezer is gone",
	[EVENT_KERNEL_ANSWERS] = "the kernel answers the thread of",
	[EVENT_CHILD_RUNS] = "the rescue's child issues FITHAW on",
	[EVENT_CHILD_ANSWERED] = "the kernel answers the rescue's child of",
	[EVENT_ORPHAN_RUNS] = "a dead agent's child issues FITHAW on",
	[EVENT_ORPHAN_ANSWERED] = "the kernel answers a dead agent's child of",
	[EVENT_HEAR] = "the agent hears",
	[EVENT_LINK_GONE] = "the agent takes the freezer for gone",
	[EVENT_PREPARED] = "the agent's preparation goes on",
	[EVENT_TABLES_READ] = "the scout has read the mount tables",
	[EVENT_DROP] = "the agent drops what it has not sent",
	[EVENT_RELEASED] = "the hooks are released",
	[EVENT_LIMIT] = "the agent limits dirty memory",
	[EVENT_HOOK_LOSS_HEARD] = "the agent hears that a hook has ended",
	[EVENT_LOOK] = "the rescue looks",
	[EVENT_RETRY_DUE] = "the rescue may try again",
	[EVENT_RETRY_TIMER] = "the agent's retry timer goes off",
	[EVENT_LEAVE_TIMER] = "the agent leaves anyway",
	[EVENT_RECOVERY] = "the recovery goes on",
	[EVENT_WAY_FAILS] = "the recovery cannot open",
	[EVENT_ASK] = "a host asks:",
	[EVENT_GIVE_UP] = "the host gives its freeze up",
	[EVENT_STOP] = "the agent is told to stop (SIGTERM)",
	[EVENT_RESTART] = "a new agent starts",
	[EVENT_WATCHDOG] = "the service manager ends the stopped agent",
	[EVENT_FOREIGN_FREEZE] = "somebody else freezes",
	[EVENT_FOREIGN_THAW] = "somebody else thaws",
	[EVENT_WRITE] = "something is written to",
	[EVENT_HOOK_ENDS] = "FAULT: a session hook ends",
	[EVENT_KILL_AGENT] = "FAULT: the agent dies",
	[EVENT_KILL_FREEZER] = "FAULT: the freezer dies",
	[EVENT_KILL_ALL] = "FAULT: the whole control group dies",
	[EVENT_STOP_AGENT] = "FAULT: the agent is stopped (SIGSTOP)",
	[EVENT_STOP_FREEZER] = "FAULT: the freezer is stopped (SIGSTOP)",
	[EVENT_CONTINUE_AGENT] = "the agent goes on",
	[EVENT_CONTINUE_FREEZER] = "the freezer goes on",
};

static const char *const answers[] = {"nothing", "0",          "EBUSY", "EBUSY, for two seconds",
				      "EIO",     "EOPNOTSUPP", "EINVAL"};
static const char *const wishes[] = {"nothing", "freeze", "thaw", "extend"};
static const char *const says[] = {"nothing", "PLAN", "FLUSH",         "FREEZE",
				   "EXTEND",  "THAW", "THAW (stopped)"};
static const char *const processes[] = {"dead", "alive", "stopped", "killed, threads in D"};
static const char *const phases[] = {"idle",     "loaded", "flushing", "flushed",
				     "freezing", "frozen", "ending"};
static const char *const kernels[] = {"writable", "FROZEN BY US", "frozen by others"};

static const char *message_name(unsigned int kind)
{
	static const char *const names[32] = {
		[SF_MESSAGE_FLUSHED] = "FLUSHED",   [SF_MESSAGE_FROZEN] = "FROZEN",
		[SF_MESSAGE_EXTENDED] = "EXTENDED", [SF_MESSAGE_ENDING] = "ENDING",
		[SF_MESSAGE_DRAINING] = "DRAINING", [SF_MESSAGE_SLOW] = "SLOW",
		[SF_MESSAGE_ENDED] = "ENDED",
	};

	return names[kind] ? names[kind] : "?";
}

static bool names_target(enum event_kind kind)
{
	return kind == EVENT_COLLECT || kind == EVENT_TARGET_TIME || kind == EVENT_THREAD_RUNS ||
	       (kind >= EVENT_KERNEL_ANSWERS && kind <= EVENT_ORPHAN_ANSWERED) ||
	       kind == EVENT_RETRY_DUE || kind == EVENT_WAY_FAILS ||
	       (kind >= EVENT_FOREIGN_FREEZE && kind <= EVENT_WRITE);
}

static bool is_answer(enum event_kind kind)
{
	return kind == EVENT_KERNEL_ANSWERS || kind == EVENT_CHILD_ANSWERED ||
	       kind == EVENT_ORPHAN_ANSWERED;
}

void world_print_event(const struct world *world, struct event event)
{
	printf("%s", events[event.kind]);
	if (names_target(event.kind))
		printf(" %u", event.index);
	if (is_answer(event.kind))
		printf(": %s", answers[event.value]);
	if (event.kind == EVENT_READ)
		printf(" %s", says[event.value]);
	if (event.kind == EVENT_HEAR)
		printf(" %s", message_name(world->agent.inbox.items[0] & 31));
	if (event.kind == EVENT_ASK)
		printf(" host %u: %s", event.index, wishes[event.value]);
	if (event.kind == EVENT_PREPARED && event.value)
		printf(": %s", event.value == 1   ? "it fails"
			       : event.value == 2 ? "nothing is there to freeze"
						  : "the mount table has changed");
	if ((event.kind == EVENT_HEARTBEAT || event.kind == EVENT_LINK_GONE) && event.value)
		printf(" (FAULT: which is only late)");
}

void world_print(const struct world *world)
{
	const struct agent *agent = &world->agent;
	SfState state = {.name = agent->state};

	printf("    agent %s, %s%s%s%s%s; freezer %s, %s; end %s\n", processes[agent->process],
	       sf_state_describe(&state), agent->was_begun ? ", begun" : "",
	       agent->rescue ? ", rescues" : "", agent->recovery ? ", recovers" : "",
	       agent->is_gone ? ", link gone" : "", processes[world->freezer.process],
	       phases[world->freezer.phase], sf_end_describe(world->record.end));
	if (world->record.hooks || world->is_limited)
		printf("    %s%s\n", world->record.hooks ? "hooks hold; " : "",
		       world->is_limited ? "dirty memory is limited" : "");
	for (unsigned int i = 0; i < target_count(); i++) {
		const struct target *target = &world->targets[i];
		static const char *const ops[] = {"",          "its thread wakes",
						  "in syncfs", "in FIFREEZE",
						  "in FITHAW", "pauses"};
		printf("    target %u: %s, record \"%s\"; %s%s%s\n", i, kernels[target->kernel],
		       sf_entry_state_name(target->entry), ops[target->op],
		       target->child ? " child" : "", target->orphan ? " orphan" : "");
	}
}
