/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "client/course.h"
#include "client/invocation.h"

typedef enum {
	SF_PHASE_PREPARE, /* plan, hooks */
	SF_PHASE_FLUSH,
	SF_PHASE_FREEZE,
	SF_PHASE_FROZEN,
	SF_PHASE_SNAPSHOT, /* QEMU at work */
	SF_PHASE_THAW,
	SF_N_PHASES,
} SfPhase;

typedef struct {
	SfPhase phase;
	double begin; /* in ms since the freeze was asked for */
	double end;
} SfBar;

#define SF_ROW_BARS_MAX 4

/* What one of them did, or had done to it. */
typedef struct {
	char *label;
	SfBar bars[SF_ROW_BARS_MAX];
	unsigned int n_bars;
	double still; /* how long nobody could write to it, in ms; 0: not told */
} SfRow;

typedef struct {
	GArray *rows;            /* of SfRow */
	unsigned int n_left_out; /* filesystems for which there is no row */
	double whole;            /* in ms */
} SfTimeline;

/* Of the filesystems the @max_rows that took longest, in the order of the freeze. */
SfTimeline *sf_timeline_new(const SfCourse *course, unsigned int max_rows);
void sf_timeline_free(SfTimeline *timeline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfTimeline, sf_timeline_free)

/* As text in lines of at most @width columns. */
void sf_timeline_draw(const SfTimeline *timeline, SfLook look, unsigned int width, GString *out);

/* As a picture, a whole SVG file. */
void sf_timeline_draw_svg(const SfTimeline *timeline, GString *out);

/* (transfer full): [{label, still-ms, phases: [{phase, begin-ms, end-ms}]}] */
JsonArray *sf_timeline_to_json(const SfTimeline *timeline);

const char *sf_phase_name(SfPhase phase);

/* The columns of the terminal on standard output, or of none. */
unsigned int sf_terminal_width(void);
