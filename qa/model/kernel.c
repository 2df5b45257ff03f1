/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's side of the model: which filesystem is frozen in truth, and by whom; what FIFREEZE
 * and FITHAW answer. It knows more than any of ours can.
 */
#include <errno.h>

#include "qa/model/parts.h"

int answer_errno(enum answer answer)
{
	static const int errors[] = {
		[ANSWER_OK] = 0,
		[ANSWER_BUSY] = EBUSY,
		[ANSWER_BUSY_LONG] = EBUSY,
		[ANSWER_EIO] = EIO,
		[ANSWER_UNSUPPORTED] = EOPNOTSUPP,
		[ANSWER_EINVAL] = EINVAL,
	};

	return errors[answer];
}

static bool is_within_thaw(const struct target *target)
{
	return target->op == OP_THAW || child_is_within_thaw(target->child) ||
	       child_is_within_thaw(target->orphan);
}

/* Right before a FITHAW is issued. */
void kernel_begin_thaw(struct world *world, unsigned int index, uint8_t entry_before)
{
	if (!record_entry_is_ours(entry_before))
		world_blame("FITHAW on what the record does not call ours");
	if (is_within_thaw(&world->targets[index]))
		world_blame("two FITHAW at once on one filesystem");
}

static void freeze(struct target *target)
{
	target->kernel = KERNEL_OURS;
	target->is_unclear = 0;
}

static void thaw(struct world *world, struct target *target)
{
	if (target->kernel == KERNEL_FOREIGN && !target->is_unclear)
		world_blame("a foreign freeze was undone");
	target->kernel = KERNEL_WRITABLE;
	property_spoil(world);
}

/* The ioctl's effect. Returns: what it gives back, 0 or -errno. */
int kernel_answer(struct world *world, unsigned int index, enum op op, enum answer answer)
{
	struct target *target = &world->targets[index];

	if (answer == ANSWER_OK && op == OP_FREEZE)
		freeze(target);
	if (answer == ANSWER_OK && op == OP_THAW)
		thaw(world, target);
	return -answer_errno(answer);
}

/* Nobody hears the answer any more, so the record calls ours what may be somebody else's by now: a
 * FIFREEZE that found it frozen, a FITHAW that had thawed it. Whoever then thaws cannot know. */
void kernel_forget_answer(struct target *target, enum op op, enum answer answer)
{
	if ((op == OP_FREEZE && answer != ANSWER_OK) || (op == OP_THAW && answer != ANSWER_EIO))
		target->is_unclear = true;
}

/* Somebody else's ioctls, and writes that reach the disk. A freeze and a thaw write, too. */
void kernel_foreign(struct world *world, struct event event)
{
	struct target *target = &world->targets[event.index];

	if (event.kind == EVENT_FOREIGN_THAW && target->kernel == KERNEL_OURS)
		target->is_unclear = true;
	if (event.kind == EVENT_FOREIGN_FREEZE)
		target->kernel = KERNEL_FOREIGN;
	else if (event.kind == EVENT_FOREIGN_THAW)
		target->kernel = KERNEL_WRITABLE;
	target->is_written = true;
	property_spoil(world);
}
