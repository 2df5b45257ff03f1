/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * How far the limit of dirty memory is to come down during a flush, and when: decides, and does
 * nothing, so that a test can play any load. It has no clock and no file.
 *
 * Where something dirties memory as fast as the disks write, a flush alone changes nothing: what is
 * written is replaced, and the freeze would wait for it with every writer blocked. A limit that
 * falls a little slower than the disks write leaves each writer the difference.
 */

/* What the kernel counts, in bytes; @dirtied and @written since the boot. */
typedef struct {
	uint64_t at_ms;
	uint64_t dirty;     /* and not yet on disk, under writeback or not */
	uint64_t writeback; /* of that, what is on its way to a disk */
	uint64_t dirtied, written;
} SfDirtySample;

#define SF_DIRTY_SAMPLES 16

typedef struct {
	SfDirtySample samples[SF_DIRTY_SAMPLES]; /* a ring */
	unsigned int count;                      /* of all that came */
	uint64_t until_ms;       /* the floor is to be reached by then; 0: whenever it is */
	uint64_t level;          /* that is aimed at; 0: nothing is limited */
	uint64_t level_since_ms; /* when it last came down */
} SfDirtyLimit;

typedef enum {
	SF_DIRTY_LOOK,  /* nothing to do yet: look again */
	SF_DIRTY_LIMIT, /* set the limits, and look again */
	SF_DIRTY_LOW,   /* nothing is to be limited, or it is as low as it will get */
} SfDirtyVerdict;

/* How often to look. */
#define SF_DIRTY_LOOK_MS 100

/**
 * sf_dirty_limit_look:
 * @limit: zeroed before the first look of a flush, but for @until_ms
 * @sample: of now
 * @out_bytes: the limit, and @out_background: where the kernel begins to write; set with
 * %SF_DIRTY_LIMIT
 */
SfDirtyVerdict sf_dirty_limit_look(SfDirtyLimit *limit, const SfDirtySample *sample,
				   uint64_t *out_bytes, uint64_t *out_background);
