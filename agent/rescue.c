/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the way from a dead freezer to thawed filesystems. Its invariant: an entry is thawed only
 * when no thread of the freezer can touch it any more, and never by two at once. Called by session
 * and recovery.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "agent/freezer/capabilities.h"
#include "agent/freezer/ioctls.h"
#include "agent/process.h"
#include "agent/rescue.h"

#define LOOK_MS 5
#define LOOK_SELDOM_MS 200
#define LOOK_SELDOM_AFTER_MS 1000
#define RETRY_MS 1000

typedef struct {
	int fd;
	pid_t child; /* that thaws it; 0: none */
	gint64 tried_at_us;
} Patient;

struct SfRescue {
	SfRecord *record;
	pid_t freezer;
	int pidfd;
	Patient *patients;
	bool rehearse;
	SfRescueDone done;
	gpointer user_data;
	guint source;
	gint64 begun_us;
};

typedef struct {
	const SfRecord *record;
	uint32_t index;
	int64_t id; /* of the freeze that left it */
	int fd;
	bool rehearse;
} Thaw;

/* Two at once would each undo a freeze, and the second one the next freeze's: a child outlives its
 * agent, and may be late. In this order: what is ours by an older id is ours no more. */
static bool is_still_wanted(const Thaw *thaw)
{
	return sf_record_lock_entry(thaw->record, thaw->index) &&
	       sf_record_entry_is_ours(&thaw->record->map->entries[thaw->index]) &&
	       thaw->record->map->id == thaw->id;
}

/* In the child. The record is shared memory: the answer is noted even where the agent dies
 * meanwhile. */
static int thaw_in_child(void *user_data)
{
	Thaw *thaw = user_data;
	struct sf_record_entry *entry = &thaw->record->map->entries[thaw->index];

	sf_capabilities_keep(SF_CAPABILITY(CAP_SYS_ADMIN));
	if (!is_still_wanted(thaw))
		return 1;
	atomic_store(&entry->state, SF_ENTRY_THAWING);
	int result = thaw->rehearse ? 0 : sf_ioctl_thaw(thaw->fd);
	atomic_store(&entry->error, -result);
	bool is_over = result == 0 || result == -EINVAL;
	atomic_store(&entry->state, is_over ? SF_ENTRY_THAWED : SF_ENTRY_FROZEN);
	return is_over ? 0 : 1;
}

static bool freezer_is_gone(SfRescue *rescue)
{
	struct pollfd polled = {.fd = rescue->pidfd, .events = POLLIN};

	if (rescue->freezer == 0)
		return true;
	if (poll(&polled, 1, 0) != 1)
		return false;
	waitpid(rescue->freezer, NULL, WNOHANG);
	rescue->freezer = 0;
	return true;
}

/* Whether no thread of the freezer can act on @entry any more. */
static bool entry_is_released(const SfRescue *rescue, const struct sf_record_entry *entry)
{
	if (rescue->freezer == 0)
		return true;
	char state = sf_process_thread_state(rescue->freezer, (pid_t)atomic_load(&entry->tid));
	if (state == 0 || state == 'X' || state == 'Z')
		return true;
	/* In D outside of the ioctls, with SIGKILL pending: it will not run again. Inside one, its
	 * answer is still to come. */
	return state == 'D' && atomic_load(&entry->state) == SF_ENTRY_FROZEN;
}

static void begin_thaw(SfRescue *rescue, uint32_t index)
{
	Patient *patient = &rescue->patients[index];
	Thaw thaw = {rescue->record, index, rescue->record->map->id, patient->fd, rescue->rehearse};
	const int keep[] = {patient->fd, rescue->record->fd};

	patient->tried_at_us = g_get_monotonic_time();
	pid_t child = sf_process_run_child(keep, G_N_ELEMENTS(keep), thaw_in_child, &thaw);
	/* Where no child can be made, the next look tries again. */
	patient->child = child > 0 ? child : 0;
}

/* Reaps the child of an entry that was thawed, or that must be tried again. */
static bool child_is_at_work(Patient *patient)
{
	if (patient->child == 0)
		return false;
	if (waitpid(patient->child, NULL, WNOHANG) == 0)
		return true;
	patient->child = 0;
	return false;
}

static bool is_due(const Patient *patient)
{
	return patient->tried_at_us == 0 ||
	       g_get_monotonic_time() - patient->tried_at_us >= RETRY_MS * G_TIME_SPAN_MILLISECOND;
}

/* Returns: whether anything is left to do. */
static bool look_after(SfRescue *rescue, uint32_t index)
{
	struct sf_record_entry *entry = &rescue->record->map->entries[index];
	Patient *patient = &rescue->patients[index];

	if (child_is_at_work(patient))
		return true;
	if (!sf_record_entry_is_ours(entry) || patient->fd < 0)
		return false;
	if (entry_is_released(rescue, entry) && is_due(patient))
		begin_thaw(rescue, index);
	return true;
}

static gboolean on_look(gpointer user_data)
{
	SfRescue *rescue = user_data;
	bool is_gone = freezer_is_gone(rescue);
	bool has_more = !is_gone;

	/* Down from the last, as every thaw; the children then run side by side, and none waits for
	 * another here. */
	for (uint32_t i = rescue->record->map->count; i-- > 0;)
		has_more |= look_after(rescue, i);
	if (has_more) {
		bool is_long = g_get_monotonic_time() - rescue->begun_us >
			       LOOK_SELDOM_AFTER_MS * G_TIME_SPAN_MILLISECOND;
		rescue->source = g_timeout_add(is_long ? LOOK_SELDOM_MS : LOOK_MS, on_look, rescue);
		return G_SOURCE_REMOVE;
	}
	rescue->source = 0;
	rescue->done(rescue->user_data);
	return G_SOURCE_REMOVE;
}

SfRescue *sf_rescue_start(SfRecord *record, pid_t freezer, int pidfd, const int *fds, bool rehearse,
			  SfRescueDone done, gpointer user_data)
{
	SfRescue *rescue = g_new0(SfRescue, 1);

	rescue->record = record;
	rescue->freezer = pidfd >= 0 ? freezer : 0;
	rescue->pidfd = pidfd;
	rescue->rehearse = rehearse;
	rescue->done = done;
	rescue->user_data = user_data;
	rescue->begun_us = g_get_monotonic_time();
	rescue->patients = g_new0(Patient, record->map->count);
	for (uint32_t i = 0; i < record->map->count; i++)
		rescue->patients[i].fd = fds[i];
	if (pidfd >= 0)
		sf_process_kill(pidfd, SIGKILL);
	rescue->source = g_idle_add(on_look, rescue);
	return rescue;
}

void sf_rescue_free(SfRescue *rescue)
{
	if (!rescue)
		return;
	if (rescue->source)
		g_source_remove(rescue->source);
	g_free(rescue->patients);
	g_free(rescue);
}
