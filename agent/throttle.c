/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the limits of dirty memory from the first step down until they are restored. Its invariant:
 * before a limit is lowered the record says what it was, and nothing that somebody else has set is
 * ever overwritten. Called by preparation (begin, wait), session (restore) and agent (recover).
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/dirty-limit.h"
#include "agent/freezer/limits.h"
#include "agent/throttle.h"

#define VMSTAT_MAX 32768

struct SfThrottle {
	char *proc;
	SfRecord *record;
	bool is_enabled;
	bool has_warned;
	int vmstat; /* fd; -1: no flush is looked on at */
	struct sf_limits limits;
	bool is_limiting; /* the fds of the limits are open, and what was in force is saved */
	bool is_given_up; /* the limits cannot be had, or somebody else has set them */
	SfDirtyLimit dirty;
	uint64_t until_ms; /* CLOCK_BOOTTIME */
	guint source;
	SfThrottleDone done; /* NULL: nobody waits */
	gpointer user_data;
};

SfThrottle *sf_throttle_new(const char *proc, SfRecord *record, bool is_enabled)
{
	SfThrottle *throttle = g_new0(SfThrottle, 1);

	throttle->proc = g_strdup(proc);
	throttle->record = record;
	throttle->is_enabled = is_enabled;
	throttle->vmstat = -1;
	return throttle;
}

void sf_throttle_free(SfThrottle *throttle)
{
	if (!throttle)
		return;
	sf_throttle_restore(throttle);
	g_free(throttle->proc);
	g_free(throttle);
}

/* The value behind "\nNAME ", in bytes; the first line is none of ours. */
static bool find_pages(const char *text, const char *name, uint64_t *out_bytes)
{
	g_autofree char *wanted = g_strdup_printf("\n%s ", name);
	const char *found = strstr(text, wanted);

	if (!found)
		return false;
	*out_bytes = g_ascii_strtoull(found + strlen(wanted), NULL, 10) *
		     (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

static bool take_sample(SfThrottle *throttle, SfDirtySample *out_sample)
{
	g_autofree char *text = g_malloc(VMSTAT_MAX);
	ssize_t length = pread(throttle->vmstat, text, VMSTAT_MAX - 1, 0);
	SfDirtySample sample = {.at_ms = sf_boottime_ms()};

	if (length <= 0)
		return false;
	text[length] = '\0';
	if (!find_pages(text, "nr_dirty", &sample.dirty) ||
	    !find_pages(text, "nr_writeback", &sample.writeback) ||
	    !find_pages(text, "nr_dirtied", &sample.dirtied) ||
	    !find_pages(text, "nr_written", &sample.written))
		return false;
	sample.dirty += sample.writeback;
	*out_sample = sample;
	return true;
}

static void give_up(SfThrottle *throttle, const char *why)
{
	throttle->is_given_up = true;
	if (!throttle->has_warned)
		g_warning("dirty memory is not limited while flushing: %s", why);
	throttle->has_warned = true;
}

static bool begin_limiting(SfThrottle *throttle)
{
	int result =
		sf_limits_open(&throttle->limits, throttle->proc, &throttle->record->map->limits);

	if (result < 0) {
		give_up(throttle, g_strerror(-result));
		return false;
	}
	result = sf_limits_save(&throttle->limits);
	if (result < 0) {
		sf_limits_close(&throttle->limits);
		give_up(throttle, g_strerror(-result));
		return false;
	}
	throttle->is_limiting = true;
	return true;
}

static void set_limits(SfThrottle *throttle, uint64_t bytes, uint64_t background)
{
	if (!throttle->is_limiting && !begin_limiting(throttle))
		return;
	/* The lower one first: the kernel takes a background that is not below the limit for half
	 * of it. */
	int result = sf_limits_lower(&throttle->limits, SF_LIMIT_BACKGROUND, background);
	if (result == 0)
		result = sf_limits_lower(&throttle->limits, SF_LIMIT_DIRTY, bytes);
	if (result == -EBUSY)
		give_up(throttle, "somebody else has set vm.dirty_* meanwhile");
	else if (result < 0)
		give_up(throttle, g_strerror(-result));
}

/* Returns: whether there is nothing to wait for. */
static bool look(SfThrottle *throttle)
{
	SfDirtySample sample;
	uint64_t bytes, background;

	if (!take_sample(throttle, &sample)) {
		give_up(throttle, "/proc/vmstat cannot be read");
		return true;
	}
	SfDirtyVerdict verdict =
		sf_dirty_limit_look(&throttle->dirty, &sample, &bytes, &background);
	if (verdict == SF_DIRTY_LIMIT)
		set_limits(throttle, bytes, background);
	return verdict == SF_DIRTY_LOW || throttle->is_given_up ||
	       sample.at_ms >= throttle->until_ms;
}

static void tell(SfThrottle *throttle)
{
	SfThrottleDone done = throttle->done;

	throttle->done = NULL;
	if (done)
		done(throttle->user_data);
}

static gboolean on_look(gpointer user_data)
{
	SfThrottle *throttle = user_data;
	bool is_low = look(throttle), is_last = throttle->is_given_up;

	if (is_last)
		throttle->source = 0;
	/* Whoever is told may begin anew, or stop: nothing is touched after this. */
	if (is_low)
		tell(throttle);
	return is_last ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

void sf_throttle_begin(SfThrottle *throttle, uint64_t timeout_ms)
{
	sf_throttle_stop(throttle);
	/* What could not be restored is not ours to overwrite: the record has room for one. */
	if (!throttle->is_enabled || throttle->is_limiting ||
	    atomic_load(&throttle->record->map->limits.are_saved))
		return;
	g_autofree char *path = g_build_filename(throttle->proc, "vmstat", NULL);
	throttle->vmstat = open(path, O_RDONLY | O_CLOEXEC);
	if (throttle->vmstat < 0)
		return;
	throttle->is_given_up = false;
	throttle->until_ms = sf_boottime_ms() + timeout_ms;
	throttle->dirty = (SfDirtyLimit){.until_ms = throttle->until_ms};
	throttle->source = g_timeout_add(SF_DIRTY_LOOK_MS, on_look, throttle);
}

void sf_throttle_wait(SfThrottle *throttle, SfThrottleDone done, gpointer user_data)
{
	throttle->done = done;
	throttle->user_data = user_data;
	if (!throttle->source || look(throttle))
		tell(throttle);
}

void sf_throttle_stop(SfThrottle *throttle)
{
	if (throttle->source)
		g_source_remove(throttle->source);
	throttle->source = 0;
	throttle->done = NULL;
	if (throttle->vmstat >= 0)
		close(throttle->vmstat);
	throttle->vmstat = -1;
}

static void restore_and_forget(struct sf_limits *limits)
{
	int result = sf_limits_restore(limits);

	if (result == 0)
		sf_limits_forget(limits);
	else
		g_warning("vm.dirty_bytes and vm.dirty_background_bytes cannot be restored: %s",
			  g_strerror(-result));
}

void sf_throttle_restore(SfThrottle *throttle)
{
	sf_throttle_stop(throttle);
	if (!throttle->is_limiting)
		return;
	restore_and_forget(&throttle->limits);
	sf_limits_close(&throttle->limits);
	throttle->is_limiting = false;
}

void sf_throttle_recover(const char *proc, SfRecord *record)
{
	struct sf_limits limits;

	if (!atomic_load(&record->map->limits.are_saved))
		return;
	int result = sf_limits_open(&limits, proc, &record->map->limits);
	if (result < 0) {
		g_warning("cannot restore vm.dirty_*, which an earlier agent has lowered: %s",
			  g_strerror(-result));
		return;
	}
	restore_and_forget(&limits);
	sf_limits_close(&limits);
}
