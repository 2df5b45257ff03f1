/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "client/invocation.h"

typedef enum {
	SF_STYLE_PLAIN,
	SF_STYLE_BOLD,
	SF_STYLE_DIM,
	SF_STYLE_GOOD,
	SF_STYLE_WARNING,
	SF_STYLE_BAD,
} SfStyle;

typedef struct {
	const char *title;
	bool right; /* numbers and durations */
} SfColumn;

/* Rows of text in columns as wide as they need to be. A column without any text is left out. */
typedef struct SfTable SfTable;

/* @columns ends with a NULL title; not copied. */
SfTable *sf_table_new(const SfColumn *columns, SfLook look);
void sf_table_free(SfTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfTable, sf_table_free)

/* The next cell, row after row. @text (nullable: empty) is escaped. */
void sf_table_add(SfTable *table, SfStyle style, const char *text);
/* @text: (transfer full): safe to print already */
void sf_table_take(SfTable *table, SfStyle style, char *text);

bool sf_table_is_empty(const SfTable *table);
void sf_table_print(const SfTable *table, GString *out);

/* Appends @text, which must be safe to print, in @style. */
void sf_print_styled(GString *out, SfLook look, SfStyle style, const char *text);
