/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The freezer's threads: the real worker.c, run again from the start of its job at each step, with
 * ioctls that give back what they gave before, and at the next one leave by longjmp(). So a thread
 * stands in each of its ioctls for as long as the walk likes, and the record says there what
 * worker.c stored.
 */
#define _GNU_SOURCE
#include <setjmp.h>

#include "agent/freezer/worker.c"
#include "qa/model/parts.h"

#define MAX_STEPS 3

/* What the job was answered so far (struct target, path). */
enum { PATH_FIRST, PATH_BUSY /* pauses */, PATH_UNSUPPORTED /* syncs instead */ };

static struct {
	jmp_buf leave;
	unsigned int position, length;
	int answers[MAX_STEPS]; /* 0 or -errno */
	bool is_ending;         /* as it is now; what came before was not */
	uint64_t now_us;        /* the same */
	enum op stands_in;
	uint64_t clock_us;
	struct sf_workers workers;
	struct sf_record_entry entry;
} play;

static void be_now(void)
{
	atomic_store(&play.workers.is_ending, play.is_ending);
	play.clock_us = play.now_us;
}

static int step(enum op op)
{
	if (play.position == play.length) {
		play.stands_in = op;
		longjmp(play.leave, 1);
	}
	int answer = play.answers[play.position++];
	if (play.position == play.length)
		be_now();
	return answer;
}

static int play_freeze(int fd)
{
	return step(OP_FREEZE);
}

static int play_thaw(int fd)
{
	return step(OP_THAW);
}

static int play_flush(int fd)
{
	return step(OP_FLUSH);
}

static uint64_t play_now_us(void)
{
	return play.clock_us;
}

static void play_pause_ms(unsigned int ms)
{
	step(OP_PAUSE);
}

static const struct sf_operations operations = {play_freeze, play_thaw, play_flush, play_now_us,
						play_pause_ms};

static void begin_play(const struct world *world, const struct target *target)
{
	play.position = play.length = 0;
	if (target->path != PATH_FIRST)
		play.answers[play.length++] = target->path == PATH_BUSY ? -EBUSY : -EOPNOTSUPP;
	play.is_ending = world->freezer.is_ending;
	play.now_us = 0;
	play.clock_us = 0;
	play.stands_in = OP_NONE;
	play.workers.operations = &operations;
	play.workers.accept_foreign = world_variant->accept_foreign;
	atomic_store(&play.workers.is_ending, false);
	atomic_store(&play.entry.state, target->entry);
}

static void note_path(struct target *target)
{
	target->path = play.stands_in == OP_PAUSE                      ? PATH_BUSY
		       : play.stands_in == OP_FLUSH && play.length > 0 ? PATH_UNSUPPORTED
								       : PATH_FIRST;
}

/* work() in worker.c: what follows a job. */
static void end_job(struct target *target, int error)
{
	target->op = OP_NONE;
	target->path = PATH_FIRST;
	target->entry_error = error == EINVAL;
	target->done = 1 + (error == 0            ? ANSWER_OK
			    : error == EBUSY      ? ANSWER_BUSY
			    : error == EOPNOTSUPP ? ANSWER_UNSUPPORTED
			    : error == EINVAL     ? ANSWER_EINVAL
						  : ANSWER_EIO);
}

static void enter_op(struct world *world, unsigned int index, uint8_t entry_before)
{
	struct target *target = &world->targets[index];

	if (play.stands_in == OP_THAW)
		kernel_begin_thaw(world, index, entry_before);
	if (play.stands_in == OP_FREEZE && world->freezer.is_ending)
		world_blame("FIFREEZE after an ending began");
	if (play.stands_in == OP_FREEZE && target->kernel == KERNEL_OURS)
		world_blame("FIFREEZE on what is frozen by us");
	note_path(target);
	target->op = play.stands_in;
}

static void play_on(struct world *world, unsigned int index)
{
	struct target *target = &world->targets[index];
	struct sf_worker worker = {.all = &play.workers, .entry = &play.entry, .job = target->job};
	uint8_t entry_before = target->entry;

	if (play.length == 0)
		be_now();
	if (setjmp(play.leave) == 0) {
		int error = -carry_out(&worker);
		target->entry = (uint8_t)atomic_load(&play.entry.state);
		end_job(target, error);
		return;
	}
	target->entry = (uint8_t)atomic_load(&play.entry.state);
	enter_op(world, index, entry_before);
}

void thread_give(struct world *world, unsigned int index)
{
	struct target *target = &world->targets[index];

	if (target->op != OP_NONE || target->done)
		world_blame("a job for a thread that is at work");
	target->op = OP_GIVEN;
	target->path = PATH_FIRST;
}

/* It wakes: the job was just given, or its pause is over, or its process goes on. */
void thread_run(struct world *world, unsigned int index)
{
	struct target *target = &world->targets[index];
	enum answer answer = target->answer;
	bool has_paused = target->op == OP_PAUSE;

	begin_play(world, target);
	target->answer = ANSWER_NONE;
	if (has_paused || answer != ANSWER_NONE)
		play.answers[play.length++] = has_paused ? 0 : -answer_errno(answer);
	if (answer == ANSWER_BUSY_LONG)
		play.now_us = 2 * BUSY_LIMIT_US;
	play_on(world, index);
}

/* The kernel has answered. A thread whose process was killed does not see it any more; one that is
 * stopped will. */
void thread_answered(struct world *world, unsigned int index, enum answer answer)
{
	struct target *target = &world->targets[index];
	bool was_killed = world->freezer.process == PROCESS_KILLED;

	kernel_answer(world, index, target->op, answer);
	if (was_killed)
		kernel_forget_answer(target, target->op, answer);
	target->answer = answer;
	if (was_killed) {
		target->op = OP_NONE;
		target->answer = ANSWER_NONE;
		target->path = PATH_FIRST;
	} else if (world->freezer.process == PROCESS_ALIVE) {
		thread_run(world, index);
	}
}
