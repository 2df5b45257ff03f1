/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SfLogRing: log entries in memory of a fixed size, allocated once. Not thread-safe. */
typedef struct SfLogRing SfLogRing;

typedef struct {
	int64_t time_us; /* wall time */
	uint16_t len;    /* of the text */
	uint8_t level;
	bool is_late; /* was not written at once */
} SfLogEntry;

/* What an entry's text holds at most; the rest is cut. */
#define SF_LOG_MAX_TEXT 3900

/* @bytes: at least 4 KiB are taken */
SfLogRing *sf_log_ring_new(size_t bytes);
void sf_log_ring_free(SfLogRing *ring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfLogRing, sf_log_ring_free)

bool sf_log_ring_is_empty(const SfLogRing *ring);

/* Adds an entry of @entry->len bytes of @text; the oldest make room and are counted as lost. */
void sf_log_ring_push(SfLogRing *ring, const SfLogEntry *entry, const char *text);

/* Copies the oldest entry; @text has SF_LOG_MAX_TEXT bytes and gets no NUL. False: there is none.
 */
bool sf_log_ring_peek(const SfLogRing *ring, SfLogEntry *out_entry, char *text);
void sf_log_ring_pop(SfLogRing *ring);

/* Every entry that is in the ring now is late. */
void sf_log_ring_mark_late(SfLogRing *ring);

/* How many entries were lost since it was last asked. They came before all that are left. */
unsigned int sf_log_ring_take_lost(SfLogRing *ring);
/* Counts them as lost again: they could not be told. */
void sf_log_ring_add_lost(SfLogRing *ring, unsigned int lost);
