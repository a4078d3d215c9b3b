/* A table of a comparison on the screen. */
#include "ui/sheet.h"

#include <stdio.h>
#include <string.h>

#include "ui/widget/plot.h"
#include "ui/widget/text.h"

enum { CELL = 256, LEAST = 11, MOST = 26, GAP = 2 };

struct widths {
	int label, cell;
};

static bool measured(enum compare_kind kind)
{
	return kind == COMPARE_METRIC || kind == COMPARE_TEST;
}

/* As wide as numbers need, since half a number would lie; settings and names are cut instead. */
static struct widths widths_of(const struct sheet *s, int cols)
{
	struct widths w = { 8, LEAST };

	for (size_t l = 0; l < s->table->n; l++) {
		const struct compare_line *line = &s->table->line[l];
		const int label = text_width(line->label);

		w.label = label > w.label ? label : w.label;
		for (size_t i = 0; measured(line->kind) && i < s->table->columns; i++) {
			char text[CELL];
			int wide;

			compare_cell_text(&line->cell[i], text, sizeof(text));
			wide = text_width(text) + 1; /* the best wears a star */
			w.cell = wide > w.cell ? wide : w.cell;
		}
	}
	w.cell = w.cell < MOST ? w.cell : MOST;
	if (w.label > cols - 2 - 2 * (w.cell + GAP))
		w.label = cols - 2 - 2 * (w.cell + GAP);
	return w;
}

/* Columns in sight besides the first one. */
static size_t others(const struct sheet *s, int cols)
{
	const struct widths w = widths_of(s, cols);
	const int n = (cols - 2 - w.label) / (w.cell + GAP) - 1;

	return n > 1 ? (size_t)n : 1;
}

static size_t lines_in_sight(const struct sheet *s)
{
	return s->rows > 2 ? (size_t)s->rows - 1 : 1; /* but for the names */
}

void sheet_scroll(struct sheet *s, int cols)
{
	const size_t lines = lines_in_sight(s), columns = others(s, cols), n = s->table->n;

	if (n < 2) /* nothing was read yet: the cursor stays where it will be wanted */
		return;
	if (s->line >= n)
		s->line = n - 1;
	if (s->line < 1)
		s->line = 1;
	if (s->column >= s->table->columns)
		s->column = s->table->columns - 1;
	if (s->line < s->top)
		s->top = s->line;
	if (s->line >= s->top + lines)
		s->top = s->line - lines + 1;
	if (s->top + lines > n)
		s->top = n > lines ? n - lines : 1;
	if (s->top < 1)
		s->top = 1;
	if (s->column && s->column < s->left)
		s->left = s->column;
	if (s->column >= s->left + columns)
		s->left = s->column - columns + 1;
	if (s->left + columns > s->table->columns)
		s->left = s->table->columns > columns ? s->table->columns - columns : 1;
	if (s->left < 1)
		s->left = 1;
}

bool sheet_cuts(const struct sheet *s, int cols)
{
	return s->line < s->table->n &&
	       text_width(s->table->line[s->line].cell[s->column].text) > widths_of(s, cols).cell;
}

static enum role role_of(const struct compare_line *l, const struct compare_cell *c)
{
	if (c->best)
		return ROLE_STRONG;
	return l->differs && !c->differs && !measured(l->kind) ? ROLE_DIM : ROLE_TEXT;
}

/* A name wears the mark of its curves. */
static void draw_name(WINDOW *w, const struct theme *t, int y, int x, int width, size_t column,
		      const char *name)
{
	const int wide = text_width(name) + 2, start = wide < width ? x + width - wide : x;
	const char letter[] = { plot_letter(column), 0 };

	theme_set(t, w, (enum role)(ROLE_SERIES + (int)(column % PLOT_LOOKS)));
	text_put(w, y, start, 1, letter);
	theme_set(t, w, ROLE_STRONG);
	text_put(w, y, start + 2, x + width - start - 2, name);
}

static void draw_cell(WINDOW *w, const struct sheet *s, const struct theme *t, size_t line,
		      size_t column, int y, int x, int width)
{
	const struct compare_line *l = &s->table->line[line];
	const struct compare_cell *c = &l->cell[column];
	char text[CELL];

	compare_cell_text(c, text, sizeof(text) - 1);
	if (l->kind == COMPARE_NAME) {
		draw_name(w, t, y, x, width, column, text);
		return;
	}
	snprintf(text + strlen(text), 2, "%s", c->best ? "*" : measured(l->kind) ? " " : "");
	theme_set(t, w, line == s->line && column == s->column ? ROLE_SELECTED : role_of(l, c));
	text_put_right(w, y, x, width, text[0] ? text : " ");
}

static void draw_line(WINDOW *w, const struct sheet *s, const struct theme *t, size_t line, int y)
{
	const int cols = getmaxx(w);
	const struct widths wide = widths_of(s, cols);
	const size_t n = others(s, cols);
	int x = 1 + wide.label + GAP;

	theme_set(t, w, line == s->line ? ROLE_STRONG : ROLE_DIM);
	text_put(w, y, 1, wide.label, s->table->line[line].label);
	draw_cell(w, s, t, line, 0, y, x, wide.cell);
	for (size_t i = s->left; i < s->left + n && i < s->table->columns; i++) {
		x += wide.cell + GAP;
		draw_cell(w, s, t, line, i, y, x, wide.cell);
	}
	theme_set(t, w, ROLE_TEXT);
}

void sheet_draw(WINDOW *w, const struct sheet *s, const struct theme *t)
{
	int y = s->y;

	if (!s->table->n || s->rows < 2)
		return;
	draw_line(w, s, t, 0, y++);
	for (size_t l = s->top; l < s->table->n && y < s->y + s->rows; l++)
		draw_line(w, s, t, l, y++);
}
