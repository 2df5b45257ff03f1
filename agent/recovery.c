/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the recovery from the record. An old freezer that still thaws gets two seconds to finish by
 * itself; then it is killed like any freezer that does not answer. Called by session and by main
 * (--recover).
 */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "agent/fdstore.h"
#include "agent/opener.h"
#include "agent/plan-variant.h"
#include "agent/process.h"
#include "agent/recovery.h"
#include "agent/rescue.h"
#include "agent/scout.h"
#include "protocol/error.h"

#define GRACE_MS 2000
#define READ_TIMEOUT_MS 10000
#define OPEN_TIMEOUT_MS 2000

/* The way to one superblock of ours: an opener of its own, so that one that cannot be opened stops
 * no other. */
typedef struct {
	SfRecovery *recovery;
	SfPlan *plan; /* of one target */
	SfOpener *opener;
} Way;

struct SfRecovery {
	SfRecord *record;
	const SfPlanSource *source;
	bool rehearse;
	SfRecoveryDone done;
	gpointer user_data;

	int pidfd; /* of the old freezer; -1: it is gone */
	guint ended_source, grace_source;
	unsigned int ours_before, thawed_before;
	SfScout *scout;  /* while the ways are looked for */
	GPtrArray *ways; /* of Way */
	unsigned int opening;
	SfRescue *rescue;
	GError *trouble;
};

static void way_free(gpointer data)
{
	Way *way = data;

	if (way->opener)
		sf_opener_cancel(way->opener);
	sf_plan_free(way->plan);
	g_free(way);
}

static int open_old_freezer(const SfRecord *record)
{
	pid_t pid = (pid_t)record->map->freezer_pid;

	if (pid <= 0)
		return -1;
	int pidfd = sf_process_open(pid);
	/* Only with its start time is it the one that the record means. */
	if (pidfd >= 0 && sf_process_start_time(pid) == record->map->freezer_start)
		return pidfd;
	if (pidfd >= 0)
		close(pidfd);
	return -1;
}

bool sf_recovery_is_needed(const SfRecord *record)
{
	int pidfd = open_old_freezer(record);

	if (pidfd >= 0)
		close(pidfd);
	return pidfd >= 0 || sf_record_count_ours(record) > 0;
}

bool sf_recovery_wait_freezer(const SfRecord *record, int timeout_ms)
{
	struct pollfd polled = {.fd = open_old_freezer(record), .events = POLLIN};

	if (polled.fd < 0)
		return true;
	bool has_ended = poll(&polled, 1, timeout_ms) == 1;
	close(polled.fd);
	return has_ended;
}

static SfDevice entry_device(const struct sf_record_entry *entry)
{
	return SF_DEVICE(entry->major, entry->minor);
}

/* Takes @target. */
static void add_way(SfRecovery *recovery, SfTarget *target)
{
	Way *way = g_new0(Way, 1);

	way->recovery = recovery;
	way->plan = sf_plan_new_empty();
	g_ptr_array_add(way->plan->targets, target);
	g_ptr_array_add(recovery->ways, way);
}

static int fd_of(const SfRecovery *recovery, SfDevice device)
{
	for (guint i = 0; i < recovery->ways->len; i++) {
		const Way *way = g_ptr_array_index(recovery->ways, i);
		const SfTarget *target = g_ptr_array_index(way->plan->targets, 0);
		if (target->device == device && target->fd >= 0)
			return target->fd;
	}
	/* It is mounted nowhere, or no way leads to it. */
	return sf_fdstore_find(device);
}

/* What somebody else has thawed before is not among them. */
static unsigned int count_thawed(const SfRecord *record)
{
	unsigned int count = 0;

	for (uint32_t i = 0; i < record->map->count; i++)
		count += atomic_load(&record->map->entries[i].state) == SF_ENTRY_THAWED &&
			 atomic_load(&record->map->entries[i].error) == 0;
	return count;
}

static void on_rescued(gpointer user_data)
{
	SfRecovery *recovery = user_data;
	unsigned int left = sf_record_count_ours(recovery->record);

	/* An open fd would keep a filesystem from being unmounted. */
	g_ptr_array_set_size(recovery->ways, 0);
	if (atomic_load(&recovery->record->map->end) == SF_END_NONE && recovery->ours_before > 0)
		atomic_store(&recovery->record->map->end, SF_END_RECOVERED);
	if (left == 0) {
		recovery->record->map->freezer_pid = 0;
		/* What could not be opened was thawed by what the service manager had kept. */
		g_clear_error(&recovery->trouble);
	} else if (!recovery->trouble) {
		/* It was not ours yet when the ways were looked for: the next try finds it. */
		sf_throw(&recovery->trouble, "%u filesystems are still frozen", left);
	}
	recovery->done(count_thawed(recovery->record) - recovery->thawed_before, recovery->trouble,
		       recovery->user_data);
}

static void begin_thaw(SfRecovery *recovery)
{
	uint32_t count = recovery->record->map->count;
	g_autofree int *fds = g_new(int, count + 1);

	for (uint32_t i = 0; i < count; i++)
		fds[i] = fd_of(recovery, entry_device(&recovery->record->map->entries[i]));
	recovery->rescue =
		sf_rescue_start(recovery->record, (pid_t)recovery->record->map->freezer_pid,
				recovery->pidfd, fds, recovery->rehearse, on_rescued, recovery);
}

static void on_opened(const GError *error, gpointer user_data)
{
	Way *way = user_data;
	SfRecovery *recovery = way->recovery;

	way->opener = NULL;
	if (error && !recovery->trouble)
		recovery->trouble = g_error_copy(error);
	if (--recovery->opening == 0)
		begin_thaw(recovery);
}

static void open_ways(SfRecovery *recovery)
{
	recovery->opening = recovery->ways->len;
	if (recovery->opening == 0)
		begin_thaw(recovery);
	for (guint i = 0; i < recovery->ways->len; i++) {
		Way *way = g_ptr_array_index(recovery->ways, i);
		way->opener = sf_opener_start(way->plan, OPEN_TIMEOUT_MS, on_opened, way);
	}
}

static bool take_ways(SfRecovery *recovery, GVariant *answer, GError **error)
{
	g_autoptr(GVariant) content = g_variant_get_child_value(answer, 0);
	g_autoptr(SfPlan) plan = sf_plan_from_variant(content, error);
	const char *trouble;

	if (!plan)
		return false;
	while (plan->targets->len > 0)
		add_way(recovery, g_ptr_array_steal_index(plan->targets, 0));
	g_variant_get_child(answer, 1, "^&ay", &trouble);
	return *trouble ? sf_throw(error, "%s", trouble) : true;
}

/* Without them there is what the service manager has kept. */
static void on_ways(GVariant *answer, const GError *error, gpointer user_data)
{
	SfRecovery *recovery = user_data;

	if (error)
		recovery->trouble = g_error_copy(error);
	else
		(void)take_ways(recovery, answer, &recovery->trouble);
	g_clear_pointer(&recovery->scout, sf_scout_free);
	open_ways(recovery);
}

static GArray *collect_devices(const SfRecord *record)
{
	GArray *devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));

	for (uint32_t i = 0; i < record->map->count; i++) {
		const struct sf_record_entry *entry = &record->map->entries[i];
		SfDevice device = entry_device(entry);

		if (sf_record_entry_is_ours(entry))
			g_array_append_val(devices, device);
	}
	return devices;
}

static void begin_opening(SfRecovery *recovery)
{
	g_autoptr(GArray) devices = collect_devices(recovery->record);
	g_autoptr(GError) error = NULL;

	if (atomic_load(&recovery->record->map->ended_ms) == 0)
		atomic_store(&recovery->record->map->ended_ms, sf_boottime_ms());
	recovery->scout = sf_scout_start(recovery->source, NULL, devices, &error);
	if (recovery->scout)
		sf_scout_ask(recovery->scout, SF_SCOUT_WAYS, READ_TIMEOUT_MS, on_ways, recovery);
	else
		on_ways(NULL, error, recovery);
}

static gboolean on_old_freezer_ended(gint fd, GIOCondition condition, gpointer user_data)
{
	SfRecovery *recovery = user_data;

	recovery->ended_source = 0;
	if (recovery->grace_source)
		g_source_remove(recovery->grace_source);
	recovery->grace_source = 0;
	begin_opening(recovery);
	return G_SOURCE_REMOVE;
}

/* It is killed before the ways are looked for: while it lives it may freeze more, to which there
 * would be none. The rescue then thaws at once what none of its threads still holds. */
static gboolean on_grace_over(gpointer user_data)
{
	SfRecovery *recovery = user_data;

	recovery->grace_source = 0;
	g_source_remove(recovery->ended_source);
	recovery->ended_source = 0;
	g_warning("the freezer of an earlier agent (pid %u) has not ended by itself",
		  recovery->record->map->freezer_pid);
	sf_process_kill(recovery->pidfd, SIGKILL);
	begin_opening(recovery);
	return G_SOURCE_REMOVE;
}

static gboolean on_begin(gpointer user_data)
{
	SfRecovery *recovery = user_data;

	recovery->grace_source = 0;
	recovery->pidfd = open_old_freezer(recovery->record);
	if (recovery->pidfd < 0) {
		begin_opening(recovery);
	} else {
		recovery->ended_source =
			g_unix_fd_add(recovery->pidfd, G_IO_IN, on_old_freezer_ended, recovery);
		recovery->grace_source = g_timeout_add(GRACE_MS, on_grace_over, recovery);
	}
	return G_SOURCE_REMOVE;
}

SfRecovery *sf_recovery_start(SfRecord *record, const SfPlanSource *source, bool rehearse,
			      SfRecoveryDone done, gpointer user_data)
{
	SfRecovery *recovery = g_new0(SfRecovery, 1);

	recovery->record = record;
	recovery->source = source;
	recovery->rehearse = rehearse;
	recovery->done = done;
	recovery->user_data = user_data;
	recovery->pidfd = -1;
	recovery->ways = g_ptr_array_new_with_free_func(way_free);
	recovery->ours_before = sf_record_count_ours(record);
	recovery->thawed_before = count_thawed(record);
	recovery->grace_source = g_idle_add(on_begin, recovery);
	return recovery;
}

void sf_recovery_free(SfRecovery *recovery)
{
	if (!recovery)
		return;
	if (recovery->ended_source)
		g_source_remove(recovery->ended_source);
	if (recovery->grace_source)
		g_source_remove(recovery->grace_source);
	sf_scout_free(recovery->scout);
	sf_rescue_free(recovery->rescue);
	g_ptr_array_unref(recovery->ways);
	if (recovery->pidfd >= 0)
		close(recovery->pidfd);
	g_clear_error(&recovery->trouble);
	g_free(recovery);
}
