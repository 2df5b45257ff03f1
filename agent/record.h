/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/freezer/record.h"
#include "agent/plan.h"

/* The record's file, mapped: agent/freezer/record.h says what is in it. */
typedef struct {
	struct sf_record *map;
	int fd;
	char *path;
} SfRecord;

/**
 * sf_record_open:
 * @folder: where the file "record" lies; made (mode 0700) where it is missing
 * @needs_tmpfs: refuse a folder that is not on tmpfs: a record on a disk would freeze with it
 * @error: domain %SF_ERROR
 *
 * Opens the record that is there, or makes an empty one where there is none, or one of another
 * version, or of another boot: what those called frozen is not any more. Fails where another
 * process (an agent, or a recovery) has it open.
 *
 * Returns: (transfer full) (nullable): free with sf_record_close()
 */
SfRecord *sf_record_open(const char *folder, bool needs_tmpfs,
			 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * sf_record_look:
 * @folder: as of sf_record_open()
 *
 * For who only looks, whoever has it open: nothing is locked, made or changed, and nothing may be.
 *
 * Returns: (transfer full) (nullable): %NULL where there is none of this boot that can be read
 */
SfRecord *sf_record_look(const char *folder);
void sf_record_close(SfRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfRecord, sf_record_close)

/* Fills in the entries for a new freeze; everything of the one before is gone but its hooks, which
 * only their thaw takes away. @label: (nullable). */
void sf_record_begin(SfRecord *record, int64_t id, const char *channel, const char *label,
		     const SfPlan *plan);

/* What was found about the snapshot, once it is known; @reason: (nullable): why it is not
 * consistent. */
void sf_record_set_verdict(SfRecord *record, bool consistent, const char *reason);

/* Whether an entry is ours to thaw: FREEZING, FROZEN or THAWING. */
bool sf_record_entry_is_ours(const struct sf_record_entry *entry);
/* How many are. */
unsigned int sf_record_count_ours(const SfRecord *record);
/* The first that is, or -1. */
int sf_record_first_ours(const SfRecord *record);

/**
 * sf_record_lock_entry:
 *
 * For the one process that is about to thaw the entry; the lock ends with that process, however it
 * ends. Returns: whether nobody else has it
 */
bool sf_record_lock_entry(const SfRecord *record, uint32_t index);

/* For people: why a freeze ended, such as "the agent died". */
const char *sf_end_describe(enum sf_end end);
/* The wire's name of an entry's state: "frozen", "synced", "foreign", … */
const char *sf_entry_state_name(enum sf_entry_state state);

/* CLOCK_BOOTTIME in ms: the record's clock. */
uint64_t sf_boottime_ms(void);
