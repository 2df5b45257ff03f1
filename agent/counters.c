/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the evidence that nothing was written while frozen: the kernel's counters per device (the
 * file "stat" in sysfs). Invariant: every device has one fd, -1 where the kernel shows no counters.
 * Called by the session around a freeze.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/counters.h"
#include "protocol/error.h"

#define MAX_STAT_SIZE 512

struct SfCounters {
	GArray *fds;          /* of int, one per device */
	GPtrArray *by_target; /* of GArray of guint: indices into @fds */
};

/* One device at one time. */
typedef struct {
	bool is_read;
	guint64 write_sectors, discard_sectors;
} Reading;

static void close_fd(gpointer data)
{
	int fd = *(int *)data;

	if (fd >= 0)
		close(fd);
}

void sf_counters_free(SfCounters *counters)
{
	if (!counters)
		return;
	g_array_unref(counters->fds);
	g_ptr_array_unref(counters->by_target);
	g_free(counters);
}

static bool open_device(SfCounters *counters, const char *sys, SfDevice device, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/dev/block/%u:%u/stat", sys,
						SF_DEVICE_MAJOR(device), SF_DEVICE_MINOR(device));
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return sf_throw_errno(error, "open '%s'", path);
	g_array_append_val(counters->fds, fd);
	return true;
}

/* @known: SfDevice* -> its index, plus one. */
static bool add_target(SfCounters *counters, const SfTarget *target, const char *sys,
		       GHashTable *known, GError **error)
{
	GArray *indices = g_array_new(FALSE, FALSE, sizeof(guint));

	g_ptr_array_add(counters->by_target, indices);
	for (guint i = 0; i < target->devices->len; i++) {
		SfDevice *device = &g_array_index(target->devices, SfDevice, i);
		guint found = GPOINTER_TO_UINT(g_hash_table_lookup(known, device));

		if (found == 0) {
			if (!open_device(counters, sys, *device, error))
				return false;
			found = counters->fds->len;
			g_hash_table_insert(known, device, GUINT_TO_POINTER(found));
		}
		found--;
		g_array_append_val(indices, found);
	}
	return true;
}

SfCounters *sf_counters_open(const SfPlan *plan, const char *sys, GError **error)
{
	g_autoptr(SfCounters) counters = g_new0(SfCounters, 1);
	g_autoptr(GHashTable) known = g_hash_table_new(g_int64_hash, g_int64_equal);

	counters->fds = g_array_new(FALSE, FALSE, sizeof(int));
	g_array_set_clear_func(counters->fds, close_fd);
	counters->by_target = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
	for (guint i = 0; i < plan->targets->len; i++)
		if (!add_target(counters, g_ptr_array_index(plan->targets, i), sys, known, error))
			return NULL;
	return g_steal_pointer(&counters);
}

bool sf_counters_is_watched(const SfCounters *counters, const GArray *readings, guint target)
{
	const GArray *indices = g_ptr_array_index(counters->by_target, target);

	for (guint i = 0; i < indices->len; i++)
		if (!g_array_index(readings, Reading, g_array_index(indices, guint, i)).is_read)
			return false;
	return indices->len > 0;
}

/* Documentation/block/stat.rst: 7 counts the sectors that were written, 14 those discarded (since
 * 4.18). Not 5 and 12, how often: an empty flush counts as a write, and any sync(2) of a frozen
 * ext4 sends one; and the kernel counts it only after it has woken who waits for it
 * (block/blk-mq.c), so that the last one before a freeze may seem to come after it. */
static Reading read_device(int fd)
{
	char text[MAX_STAT_SIZE];
	guint64 fields[15] = {0};
	Reading reading = {0};
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	const char *at = text;

	if (n <= 0)
		return reading;
	text[n] = '\0';
	for (guint i = 1; i < G_N_ELEMENTS(fields); i++) {
		char *end;

		fields[i] = g_ascii_strtoull(at, &end, 10);
		if (end == at)
			break;
		reading.is_read = i >= 7;
		at = end;
	}
	reading.write_sectors = fields[7];
	reading.discard_sectors = fields[14];
	return reading;
}

GArray *sf_counters_read(const SfCounters *counters)
{
	GArray *readings = g_array_sized_new(FALSE, FALSE, sizeof(Reading), counters->fds->len);

	for (guint i = 0; i < counters->fds->len; i++) {
		Reading reading = read_device(g_array_index(counters->fds, int, i));

		g_array_append_val(readings, reading);
	}
	return readings;
}

static bool is_changed(const Reading *before, const Reading *after)
{
	return before->is_read != after->is_read || before->write_sectors != after->write_sectors ||
	       before->discard_sectors != after->discard_sectors;
}

GArray *sf_counters_compare(const SfCounters *counters, const GArray *before, const GArray *after)
{
	GArray *written = g_array_new(FALSE, FALSE, sizeof(guint));

	for (guint i = 0; i < counters->by_target->len; i++) {
		const GArray *indices = g_ptr_array_index(counters->by_target, i);
		bool changed = false;

		for (guint j = 0; j < indices->len && !changed; j++) {
			guint k = g_array_index(indices, guint, j);

			changed = is_changed(&g_array_index(before, Reading, k),
					     &g_array_index(after, Reading, k));
		}
		if (changed)
			g_array_append_val(written, i);
	}
	return written;
}
