/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides how the limit of dirty memory comes down. Its invariants: it never goes up again, never
 * below the floor, and each step is only a little below what is dirty at that moment, for a writer
 * that finds itself far above the limit stands still until all of the difference is on disk. Called
 * by throttle.
 */
#include "config.h"

#include <glib.h>

#include "agent/dirty-limit.h"

#define MIB (1024ull * 1024)
/* So little is nobody's trouble: not worth touching the machine's settings. */
#define MUCH_BYTES (64 * MIB)
/* A look is over this long at least: what the kernel writes comes in gushes. */
#define WINDOW_MS 500
/* Less than this part of what is dirty, written in a window, is a trickle. */
#define TRICKLE_SHARE 256
/* The floor: what the disks write in this time, but not so little that writers trip over it. */
#define FLOOR_MS 300
#define FLOOR_BYTES (16 * MIB)
/* Of what the disks write, so much goes into coming down; the rest is the writers'. */
#define FALL_PERCENT 70
/* Where time is short, up to this much. */
#define FALL_MAX_PERCENT 95
/* How far what is aimed at may be below what is dirty; the limit itself is then 9 % below. */
#define STEP_PERCENT 20
/* Where it did not come down for so long, it is as low as it will get. */
#define SETTLE_MS 3000

static const SfDirtySample *sample_back(const SfDirtyLimit *limit, unsigned int back)
{
	return &limit->samples[(limit->count - 1 - back) % SF_DIRTY_SAMPLES];
}

/* The youngest sample that is old enough to be compared with, or NULL. */
static const SfDirtySample *find_earlier(const SfDirtyLimit *limit)
{
	const SfDirtySample *now = sample_back(limit, 0);
	unsigned int known = MIN(limit->count, SF_DIRTY_SAMPLES);

	for (unsigned int back = 1; back < known; back++)
		if (now->at_ms - sample_back(limit, back)->at_ms >= WINDOW_MS)
			return sample_back(limit, back);
	return NULL;
}

/* As long as the ring is: bytes per second. */
static uint64_t writing_rate(const SfDirtyLimit *limit)
{
	const SfDirtySample *now = sample_back(limit, 0);
	const SfDirtySample *then = sample_back(limit, MIN(limit->count, SF_DIRTY_SAMPLES) - 1);
	uint64_t passed_ms = now->at_ms - then->at_ms;

	return passed_ms ? (now->written - then->written) * 1000 / passed_ms : 0;
}

static uint64_t floor_of(uint64_t rate)
{
	return MAX(rate * FLOOR_MS / 1000, FLOOR_BYTES);
}

/* Whether what is written is replaced. A trickle does not count (some files that are synced now and
 * then, beside much that lies dirty and waits for the flush): at that rate it would take minutes.
 */
static bool is_refilled(const SfDirtySample *then, const SfDirtySample *now)
{
	uint64_t dirtied = now->dirtied - then->dirtied, written = now->written - then->written;

	return written > now->dirty / TRICKLE_SHARE && dirtied > written / 2;
}

/* Nothing was written just now, although disks are at it: they do so in gushes. */
static bool is_undecided(const SfDirtyLimit *limit, const SfDirtySample *then)
{
	const SfDirtySample *now = sample_back(limit, 0);

	return now->writeback > 0 && now->written == then->written &&
	       limit->count < SF_DIRTY_SAMPLES;
}

static SfDirtyVerdict look_before(SfDirtyLimit *limit)
{
	const SfDirtySample *now = sample_back(limit, 0), *then = find_earlier(limit);

	if (now->dirty <= MUCH_BYTES)
		return SF_DIRTY_LOW;
	if (!then || is_undecided(limit, then))
		return SF_DIRTY_LOOK;
	if (now->dirty > 2 * floor_of(writing_rate(limit)) && is_refilled(then, now)) {
		limit->level = now->dirty;
		limit->level_since_ms = now->at_ms;
		return SF_DIRTY_LIMIT;
	}
	return SF_DIRTY_LOW;
}

/* Bytes per second. */
static uint64_t falling_rate(const SfDirtyLimit *limit, uint64_t rate)
{
	uint64_t now_ms = sample_back(limit, 0)->at_ms;
	uint64_t wanted = rate * FALL_PERCENT / 100, most = rate * FALL_MAX_PERCENT / 100;

	if (limit->until_ms <= now_ms || limit->level <= floor_of(rate))
		return wanted;
	uint64_t needed = (limit->level - floor_of(rate)) * 1000 / (limit->until_ms - now_ms);
	return CLAMP(needed, wanted, most);
}

/* A disk that writes nothing for a while makes no step: the rate is 0, and so is the step. */
static void step_down(SfDirtyLimit *limit, uint64_t rate)
{
	const SfDirtySample *now = sample_back(limit, 0), *before = sample_back(limit, 1);
	uint64_t step = falling_rate(limit, rate) * (now->at_ms - before->at_ms) / 1000;
	uint64_t lowest = MAX(floor_of(rate), now->dirty - now->dirty * STEP_PERCENT / 100);
	uint64_t level = MIN(limit->level, MAX(now->dirty, floor_of(rate)));

	level = MIN(limit->level, MAX(level > step ? level - step : 0, lowest));
	if (level < limit->level)
		limit->level_since_ms = now->at_ms;
	limit->level = level;
}

/* What does not come down any more although the disks write lies on one that is not flushed, or
 * the kernel lets more through than it was told. */
static bool is_settled(const SfDirtyLimit *limit, uint64_t rate)
{
	const SfDirtySample *now = sample_back(limit, 0);

	return now->dirty <= floor_of(rate) * 3 / 2 ||
	       (rate > 0 && now->at_ms - limit->level_since_ms >= SETTLE_MS);
}

/* The kernel holds writers back from halfway between background and limit on, and aims at the
 * middle between there and the limit. */
static void set_limits(uint64_t level, uint64_t *out_bytes, uint64_t *out_background)
{
	*out_bytes = level * 8 / 7;
	*out_background = *out_bytes / 2;
}

SfDirtyVerdict sf_dirty_limit_look(SfDirtyLimit *limit, const SfDirtySample *sample,
				   uint64_t *out_bytes, uint64_t *out_background)
{
	SfDirtyVerdict verdict = SF_DIRTY_LIMIT;

	limit->samples[limit->count++ % SF_DIRTY_SAMPLES] = *sample;
	if (limit->level == 0)
		verdict = look_before(limit);
	if (verdict != SF_DIRTY_LIMIT)
		return verdict;
	uint64_t rate = writing_rate(limit);
	step_down(limit, rate);
	set_limits(limit->level, out_bytes, out_background);
	return is_settled(limit, rate) ? SF_DIRTY_LOW : SF_DIRTY_LIMIT;
}
