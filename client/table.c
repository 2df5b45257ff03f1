/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables for people. Every cell is safe to print from the moment it is in the table. The reports of
 * the sub-commands call it. */
#include "config.h"

#include "client/format.h"
#include "client/table.h"

#define GAP 2

typedef struct {
	char *text;
	SfStyle style;
} Cell;

struct SfTable {
	const SfColumn *columns;
	unsigned int n_columns;
	SfLook look;
	GArray *cells;
};

static void clear_cell(gpointer data)
{
	g_free(((Cell *)data)->text);
}

SfTable *sf_table_new(const SfColumn *columns, SfLook look)
{
	SfTable *table = g_new0(SfTable, 1);

	table->columns = columns;
	while (columns[table->n_columns].title)
		table->n_columns++;
	table->look = look;
	table->cells = g_array_new(FALSE, FALSE, sizeof(Cell));
	g_array_set_clear_func(table->cells, clear_cell);
	return table;
}

void sf_table_free(SfTable *table)
{
	if (!table)
		return;
	g_array_unref(table->cells);
	g_free(table);
}

void sf_table_take(SfTable *table, SfStyle style, char *text)
{
	Cell cell = {.text = text, .style = style};

	g_array_append_val(table->cells, cell);
}

void sf_table_add(SfTable *table, SfStyle style, const char *text)
{
	sf_table_take(table, style, sf_escape(text ? text : "", table->look.utf8));
}

bool sf_table_is_empty(const SfTable *table)
{
	return table->cells->len == 0;
}

static void append_spaces(GString *out, size_t count)
{
	while (count-- > 0)
		g_string_append_c(out, ' ');
}

void sf_print_styled(GString *out, SfLook look, SfStyle style, const char *text)
{
	static const char *const codes[] = {
		[SF_STYLE_PLAIN] = NULL, [SF_STYLE_BOLD] = "1",     [SF_STYLE_DIM] = "2",
		[SF_STYLE_GOOD] = "32",  [SF_STYLE_WARNING] = "33", [SF_STYLE_BAD] = "31;1",
	};

	if (look.colour && codes[style] && *text)
		g_string_append_printf(out, "\033[%sm%s\033[0m", codes[style], text);
	else
		g_string_append(out, text);
}

/* The widest cell; 0 where none has text, and then the title does not count either. */
static size_t column_width(const SfTable *table, unsigned int column)
{
	size_t width = 0;

	for (unsigned int i = column; i < table->cells->len; i += table->n_columns)
		width = MAX(width, sf_display_width(g_array_index(table->cells, Cell, i).text));
	return width > 0 ? MAX(width, sf_display_width(table->columns[column].title)) : 0;
}

/* Spaces are owed until something follows them, so that no line ends with any. */
static void print_cell(const SfTable *table, GString *out, const Cell *cell, size_t width,
		       bool right, size_t *owed)
{
	size_t used = sf_display_width(cell->text);

	if (right)
		*owed += width - used;
	if (used > 0) {
		append_spaces(out, *owed);
		*owed = 0;
	}
	sf_print_styled(out, table->look, cell->style, cell->text);
	*owed += GAP + (right ? 0 : width - used);
}

static void print_row(const SfTable *table, GString *out, const Cell *cells, const size_t *widths)
{
	size_t owed = 0;

	for (unsigned int i = 0; i < table->n_columns; i++) {
		if (widths[i] > 0)
			print_cell(table, out, &cells[i], widths[i], table->columns[i].right,
				   &owed);
	}
	g_string_append_c(out, '\n');
}

void sf_table_print(const SfTable *table, GString *out)
{
	g_autofree size_t *widths = g_new(size_t, table->n_columns);
	g_autofree Cell *titles = g_new(Cell, table->n_columns);
	const Cell *cells = (const Cell *)(gpointer)table->cells->data;

	for (unsigned int i = 0; i < table->n_columns; i++) {
		widths[i] = column_width(table, i);
		titles[i] = (Cell){(char *)table->columns[i].title, SF_STYLE_BOLD};
	}
	print_row(table, out, titles, widths);
	for (unsigned int i = 0; i + table->n_columns <= table->cells->len; i += table->n_columns)
		print_row(table, out, cells + i, widths);
}
