/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries one behind the other in a circle of bytes: a SfLogEntry, then its text. Invariant: used
 * counts whole entries only, start is where the oldest begins. Called by agent/log.
 */
#include "config.h"

#include <string.h>

#include "agent/log-ring.h"

#define MIN_BYTES 4096

struct SfLogRing {
	size_t size, start, used;
	unsigned int lost;
	uint64_t pushed, popped, late; /* entries before number @late are late */
	uint8_t bytes[];
};

SfLogRing *sf_log_ring_new(size_t bytes)
{
	size_t size = MAX(bytes, MIN_BYTES);
	/* Cleared, so that each page is there before it is needed. */
	SfLogRing *ring = g_malloc0(sizeof(*ring) + size);

	ring->size = size;
	return ring;
}

void sf_log_ring_free(SfLogRing *ring)
{
	g_free(ring);
}

bool sf_log_ring_is_empty(const SfLogRing *ring)
{
	return ring->used == 0;
}

static void copy_in(SfLogRing *ring, const void *data, size_t len)
{
	size_t at = (ring->start + ring->used) % ring->size;
	size_t first = MIN(len, ring->size - at);

	memcpy(ring->bytes + at, data, first);
	memcpy(ring->bytes, (const uint8_t *)data + first, len - first);
	ring->used += len;
}

static void copy_out(const SfLogRing *ring, size_t offset, void *data, size_t len)
{
	size_t at = (ring->start + offset) % ring->size;
	size_t first = MIN(len, ring->size - at);

	memcpy(data, ring->bytes + at, first);
	memcpy((uint8_t *)data + first, ring->bytes, len - first);
}

void sf_log_ring_push(SfLogRing *ring, const SfLogEntry *entry, const char *text)
{
	SfLogEntry kept = *entry;

	kept.len = MIN(entry->len, SF_LOG_MAX_TEXT);
	while (ring->size - ring->used < sizeof(kept) + kept.len) {
		sf_log_ring_pop(ring);
		ring->lost++;
	}
	copy_in(ring, &kept, sizeof(kept));
	copy_in(ring, text, kept.len);
	ring->pushed++;
}

bool sf_log_ring_peek(const SfLogRing *ring, SfLogEntry *out_entry, char *text)
{
	if (!ring->used)
		return false;
	copy_out(ring, 0, out_entry, sizeof(*out_entry));
	copy_out(ring, sizeof(*out_entry), text, out_entry->len);
	out_entry->is_late = out_entry->is_late || ring->popped < ring->late;
	return true;
}

void sf_log_ring_pop(SfLogRing *ring)
{
	SfLogEntry entry;
	size_t len;

	copy_out(ring, 0, &entry, sizeof(entry));
	len = sizeof(entry) + entry.len;
	ring->start = (ring->start + len) % ring->size;
	ring->used -= len;
	ring->popped++;
}

void sf_log_ring_mark_late(SfLogRing *ring)
{
	ring->late = ring->pushed;
}

unsigned int sf_log_ring_take_lost(SfLogRing *ring)
{
	unsigned int lost = ring->lost;

	ring->lost = 0;
	return lost;
}

void sf_log_ring_add_lost(SfLogRing *ring, unsigned int lost)
{
	ring->lost += lost;
}
