/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's rescue: the real rescue.c, whose looks and children are played. A look is filled in
 * from the world and poured back, as the freezer's core is; a child leaves by longjmp() where
 * FITHAW would wait.
 */
#include <glib.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/wait.h>

#include "agent/freezer/capabilities.h"
#include "agent/process.h"
#include "agent/record.h"
#include "qa/model/parts.h"

#define NOW_US (1000 * G_TIME_SPAN_SECOND)
#define FREEZER 1
#define FIRST_CHILD 100

static struct {
	struct world *world;
	jmp_buf leave;
	bool is_answered;
	int answer;
	struct sf_record map;
	SfRecord record;
	bool is_done;
} play;

static gint64 play_monotonic_time(void)
{
	return NOW_US;
}

static int play_poll(struct pollfd *polled)
{
	polled->revents = play.world->freezer.process == PROCESS_DEAD ? POLLIN : 0;
	return polled->revents ? 1 : 0;
}

static pid_t play_waitpid(pid_t pid)
{
	if (pid < FIRST_CHILD)
		return pid;
	return play.world->targets[pid - FIRST_CHILD].child == CHILD_ENDED ? pid : 0;
}

/* A lock in the record is as long-lived as the child that thaws. */
static bool play_lock_entry(uint32_t index)
{
	const struct target *target = &play.world->targets[index];

	return !child_is_within_thaw(target->child) && !child_is_within_thaw(target->orphan);
}

#define sf_record_lock_entry(record, index) play_lock_entry(index)
#define g_get_monotonic_time() play_monotonic_time()
#define g_timeout_add(interval, call, data) ((void)(interval), (void)(call), 1u)
#define g_idle_add(call, data) ((void)(call), 1u)
#define poll(polled, count, timeout) play_poll(polled)
#define waitpid(pid, status, options) play_waitpid(pid)
#include "agent/rescue.c"
#undef poll
#undef waitpid

bool sf_process_kill(int pidfd, int signal)
{
	return true;
}

/* Of the killed freezer: what is still in the kernel is in D state, everything else is gone. One
 * that nobody has killed runs, or is stopped. */
char sf_process_thread_state(pid_t pid, pid_t tid)
{
	const struct world *world = play.world;

	if (world->freezer.process == PROCESS_DEAD)
		return 0;
	if (world->freezer.process == PROCESS_KILLED)
		return op_is_in_kernel(&world->targets[tid]) ? 'D' : 0;
	return 'R';
}

pid_t sf_process_run_child(const int *keep, unsigned int keep_count, int (*work)(void *),
			   void *user_data)
{
	return FIRST_CHILD + keep[0];
}

void sf_capabilities_keep(uint64_t wanted)
{
}

int sf_ioctl_thaw(int fd)
{
	if (!play.is_answered)
		longjmp(play.leave, 1);
	return play.answer;
}

bool record_entry_is_ours(uint8_t state)
{
	struct sf_record_entry entry = {.state = state};

	return sf_record_entry_is_ours(&entry);
}

unsigned int record_count_ours(const struct world *world)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < target_count(); i++)
		count += record_entry_is_ours(world->targets[i].entry);
	return count;
}

static void on_done(gpointer user_data)
{
	play.is_done = true;
}

static void fill_record(struct world *world)
{
	play.world = world;
	play.record.map = &play.map;
	play.map.count = target_count();
	play.map.id = world->record.id;
	for (unsigned int i = 0; i < target_count(); i++) {
		atomic_store(&play.map.entries[i].state, world->targets[i].entry);
		atomic_store(&play.map.entries[i].tid, i);
	}
}

static void pour_entry(struct target *target, const struct sf_record_entry *entry)
{
	target->entry = (uint8_t)atomic_load(&entry->state);
	target->entry_error = atomic_load(&entry->error) == EINVAL;
}

/* sf_rescue_start(), and the wait until the kernel has carried out the kill. */
void rescue_start(struct world *world, bool has_pidfd)
{
	world->agent.rescue = has_pidfd ? 1 : 2;
	if (has_pidfd &&
	    (world->freezer.process == PROCESS_ALIVE || world->freezer.process == PROCESS_STOPPED))
		freezer_kill(world);
}

static bool has_fd(const struct world *world, unsigned int index)
{
	return world->agent.recovery ? world->agent.ways >> index & 1 : world->agent.has_plan;
}

static void fill_patient(const struct world *world, Patient *patient, unsigned int index)
{
	const struct target *target = &world->targets[index];

	patient->fd = has_fd(world, index) ? (int)index : -1;
	patient->child = target->child ? FIRST_CHILD + (pid_t)index : 0;
	patient->tried_at_us = target->is_tried ? NOW_US : 0;
}

static void pour_patient(struct target *target, const Patient *patient)
{
	if (patient->child == 0)
		target->child = CHILD_NONE;
	else if (target->child == CHILD_NONE || target->child == CHILD_ENDED)
		target->child = CHILD_FORKED;
	target->is_tried = patient->tried_at_us != 0;
}

bool rescue_look(struct world *world)
{
	Patient patients[MODEL_TARGETS] = {0};
	SfRescue rescue = {.record = &play.record,
			   .freezer = world->agent.rescue == 1 ? FREEZER : 0,
			   .patients = patients,
			   .done = on_done,
			   .begun_us = NOW_US};

	fill_record(world);
	play.is_done = false;
	for (unsigned int i = 0; i < target_count(); i++)
		fill_patient(world, &patients[i], i);
	on_look(&rescue);
	world->agent.rescue = rescue.freezer ? 1 : 2;
	for (unsigned int i = 0; i < target_count(); i++) {
		pour_patient(&world->targets[i], &patients[i]);
		world->targets[i].child_id = world->targets[i].child ? world->record.id : 0;
	}
	return play.is_done;
}

/* Returns: whether it ended. */
static bool play_child(struct world *world, unsigned int index, uint8_t id)
{
	struct sf_record_entry *entry = &play.map.entries[index];
	Thaw thaw = {&play.record, index, id, (int)index, false};

	fill_record(world);
	atomic_store(&entry->error, 0);
	if (play.is_answered)
		play.map.id = id;
	if (setjmp(play.leave) != 0)
		return false;
	thaw_in_child(&thaw);
	return true;
}

static uint8_t id_of(const struct target *target, const uint8_t *child)
{
	return child == &target->child ? target->child_id : target->orphan_id;
}

void child_run(struct world *world, unsigned int index, uint8_t *child)
{
	struct target *target = &world->targets[index];
	uint8_t entry_before = target->entry;

	play.is_answered = false;
	if (play_child(world, index, id_of(target, child))) {
		*child = CHILD_ENDED;
		return;
	}
	kernel_begin_thaw(world, index, entry_before);
	target->entry = (uint8_t)atomic_load(&play.map.entries[index].state);
	*child = CHILD_THAWS;
}

/* One that was killed meanwhile notes nothing. */
void child_answered(struct world *world, unsigned int index, uint8_t *child, enum answer answer)
{
	struct target *target = &world->targets[index];
	bool was_killed = *child == CHILD_KILLED;

	play.answer = kernel_answer(world, index, OP_THAW, answer);
	play.is_answered = true;
	*child = CHILD_ENDED;
	if (was_killed) {
		kernel_forget_answer(target, OP_THAW, answer);
		return;
	}
	play_child(world, index, id_of(target, child));
	pour_entry(target, &play.map.entries[index]);
}
