/*
 * Runs: what the screen knows. Of any number of runs it reads places and states
 * (run_index); whole rows, columns and sparklines only of those on the screen,
 * and a sparkline again only when its run moved on.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "ui/runs.h"
#include "ui/trainer.h"

static const int64_t look_us =
	2000000; /* how often live runs are looked up again: lost is no change of the log */

/* ---- places and lines ---- */

struct run_filter runs_filter_of(const struct app *app, const struct runs *r)
{
	return (struct run_filter){ .where = r->where,
				    .sort = app->columns.sort,
				    .group = app->columns.group[0] ? app->columns.group : NULL };
}

static void count(struct runs *r, const struct run_index *all, size_t n)
{
	memset(r->count, 0, sizeof(r->count));
	r->trashed = r->total = 0;
	for (size_t i = 0; i < n; i++) {
		if (all[i].trashed)
			r->trashed++;
		else
			r->count[all[i].state]++;
	}
	r->total = n - r->trashed;
}

static void drop_trashed(struct run_index *all, size_t n, size_t *ret_n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!all[i].trashed)
			all[kept++] = all[i];
	*ret_n = kept;
}

/* Everything once for the counts; the same serves as the list when nothing is filtered or sorted. */
static int read_places(const struct app *app, struct runs *r)
{
	const struct run_filter every = { .with_trashed = true }, f = runs_filter_of(app, r);
	struct run_index *all = NULL, *some;
	size_t n = 0;
	int code = run_index(app->store, &every, &all, &n);

	if (code)
		return code;
	count(r, all, n);
	if (!f.where && !f.sort[0] && !f.group) {
		drop_trashed(all, n, &n);
	} else {
		code = run_index(app->store, &f, &some, &n);
		free(all);
		if (code)
			return code;
		all = some;
	}
	free(r->place);
	r->place = all;
	r->n = n;
	r->lines = 0;
	return r->id_width ? TT_OK : run_id_width(app->store, &r->id_width);
}

/* Runs of a group together, each group where its first run was. Groups are numbered from 1 on. */
static int gather(struct runs *r)
{
	struct run_index *sorted = malloc((r->n + 1) * sizeof(*sorted));
	size_t *next, *size, at = 0;
	int64_t groups = 0;

	for (size_t i = 0; i < r->n; i++)
		groups = r->place[i].group > groups ? r->place[i].group : groups;
	next = calloc(2 * ((size_t)groups + 1), sizeof(*next));
	if (!sorted || !next) {
		free(sorted);
		free(next);
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	}
	size = next + groups + 1;
	for (size_t i = 0; i < r->n; i++)
		size[r->place[i].group]++;
	for (size_t i = 0; i < r->n; i++) {
		const int64_t g = r->place[i].group;

		if (size[g]) { /* the first of its group */
			next[g] = at;
			at += size[g];
			size[g] = 0;
		}
		sorted[next[g]++] = r->place[i];
	}
	free(next);
	free(r->place);
	r->place = sorted;
	return TT_OK;
}

int64_t runs_line_id(const struct runs *r, const struct runs_line *l)
{
	int64_t least = r->place[l->place].row;

	if (!l->group)
		return least;
	for (size_t i = 1; i < l->n; i++)
		if (r->place[l->place + i].row < least)
			least = r->place[l->place + i].row;
	return -least;
}

static bool is_open(const struct runs *r, int64_t id)
{
	for (size_t i = 0; i < r->open_n; i++)
		if (r->open[i] == id)
			return true;
	return false;
}

static void add_group(struct runs *r, size_t place, size_t n)
{
	struct runs_line l = { .place = place, .n = n, .group = true };

	l.open = is_open(r, runs_line_id(r, &l));
	r->line[r->lines++] = l;
	for (size_t i = 0; l.open && i < n; i++)
		r->line[r->lines++] = (struct runs_line){ .place = place + i,
							  .n = 1,
							  .inner = true };
}

/* A group of one is that run. */
static int make_lines(const struct app *app, struct runs *r)
{
	const bool grouped = app->columns.group[0] != 0;
	struct runs_line *line;
	int code = grouped ? gather(r) : TT_OK;

	if (code)
		return code;
	line = malloc((2 * r->n + 1) * sizeof(*line));
	if (!line)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	free(r->line);
	r->line = line;
	r->lines = 0;
	for (size_t i = 0, n; i < r->n; i += n) {
		for (n = 1; grouped && i + n < r->n && r->place[i + n].group == r->place[i].group;)
			n++;
		if (n > 1)
			add_group(r, i, n);
		else
			r->line[r->lines++] = (struct runs_line){ .place = i, .n = 1 };
	}
	return TT_OK;
}

size_t runs_line_of(const struct runs *r, int64_t row)
{
	size_t found = r->lines;

	for (size_t i = 0; i < r->lines; i++) {
		const struct runs_line *l = &r->line[i];

		for (size_t k = 0; k < l->n; k++)
			if (r->place[l->place + k].row == row)
				found = i; /* behind a group that is open stands the run itself */
	}
	return found;
}

/* ---- the window ---- */

/* The cursor stays on its line, and else where it was. */
static void keep_cursor(struct runs *r)
{
	if (r->at >= r->lines || runs_line_id(r, &r->line[r->at]) != r->at_id)
		for (size_t i = 0; i < r->lines; i++)
			if (runs_line_id(r, &r->line[i]) == r->at_id) {
				r->at = i;
				break;
			}
	if (r->at >= r->lines)
		r->at = r->lines ? r->lines - 1 : 0;
}

/* Scroll as little as shows the cursor. */
static void keep_window(struct runs *r)
{
	if (r->at < r->from)
		r->from = r->at;
	if (r->rows && r->at >= r->from + r->rows)
		r->from = r->at - r->rows + 1;
	if (r->from + r->rows > r->lines)
		r->from = r->lines > r->rows ? r->lines - r->rows : 0;
	r->at_id = r->lines ? runs_line_id(r, &r->line[r->at]) : 0;
}

size_t runs_spark_width(const struct app *app)
{
	return app->cols >= 120 ? 16 : app->cols >= 100 ? 10 : 6;
}

/* Move what is known of a line out of the old window. */
static struct runs_shown take_shown(struct runs *r, int64_t id)
{
	for (size_t i = 0; i < r->shown_n; i++)
		if (r->shown[i].line_id == id) {
			const struct runs_shown found = r->shown[i];

			memset(&r->shown[i], 0, sizeof(r->shown[i]));
			return found;
		}
	return (struct runs_shown){ .left_us = -1 };
}

static int read_spark(struct app *app, struct runs_shown *s, bool same)
{
	const size_t room = runs_spark_width(app);

	if (same && s->spark_room == room && s->run.state != RUN_RUNNING)
		return TT_OK;
	s->spark_room = room;
	return metric_spark(app->store, s->run.row, "train/loss", room, s->spark, &s->spark_n);
}

static int read_run(struct app *app, int64_t row, bool again, struct runs_shown *s)
{
	const bool known = s->run.row == row;
	struct run run;
	bool same;
	int code;

	if (known && !again && s->spark_room == runs_spark_width(app))
		return TT_OK;
	code = run_get_row(app->store, row, &run);
	if (code)
		return code;
	same = known && run.step == s->run.step && run.attempt == s->run.attempt;
	run_done(&s->run);
	s->run = run;
	s->left_us = trainer_left(app->store, &run);
	return s->group ? TT_OK : read_spark(app, s, same);
}

/* ---- cells ---- */

/* What a column asks the run log for, where the run itself does not say it. */
static const char *key_of(const char *column)
{
	if (!strcmp(column, "params"))
		return "trainable_params";
	return !strcmp(column, "curve") ? "id" : column;
}

static struct runs_cell cell_of(const struct run_field *f)
{
	static const int kind[] = { [FIELD_NONE] = CELL_NONE,
				    [FIELD_NUMBER] = CELL_NUMBER,
				    [FIELD_SPAN] = CELL_SPAN,
				    [FIELD_TEXT] = CELL_TEXT };
	struct runs_cell c = { .low = f->number, .high = f->number, .n = 1 };

	c.kind = kind[f->kind];
	memcpy(c.text, f->text, sizeof(c.text));
	return c;
}

/* Mean and deviation from the sum of squares about the first value: exact where all are the same. */
static void fold_numbers(const struct run_field *f, size_t n, size_t step, bool measured,
			 struct runs_cell *c)
{
	double sum = 0, square = 0;

	c->n = 0;
	for (size_t i = 0; i < n; i++) {
		const double v = f[i * step].number, d = v - c->low;

		if (f[i * step].kind != FIELD_NUMBER && f[i * step].kind != FIELD_SPAN)
			continue;
		if (!c->n++)
			c->high = c->low = v;
		sum += c->n == 1 ? 0 : d;
		square += c->n == 1 ? 0 : d * d;
		if (measured)
			continue;
		c->kind = v != c->low || v != c->high ? CELL_RANGE : c->kind;
		c->low = v < c->low ? v : c->low;
		c->high = v > c->high ? v : c->high;
	}
	if (!measured || c->n < 2)
		return;
	c->kind = CELL_MEAN;
	square -= sum * sum / (double)c->n;
	c->low += sum / (double)c->n;
	c->high = sqrt(fmax(square, 0) / (double)(c->n - 1));
}

/* One column of a group: [n] fields that stand `step` apart. */
static struct runs_cell fold(const struct run_field *f, size_t n, size_t step, bool measured)
{
	struct runs_cell c = { .kind = CELL_NONE };
	size_t first = 0;

	while (first < n && f[first * step].kind == FIELD_NONE)
		first++;
	if (first == n)
		return c;
	c = cell_of(&f[first * step]);
	if (c.kind != CELL_TEXT) {
		fold_numbers(f, n, step, measured, &c);
		return c;
	}
	for (size_t i = 0; i < n; i++)
		if (f[i * step].kind != FIELD_TEXT || strcmp(f[i * step].text, c.text) != 0)
			c.kind = CELL_VARIOUS;
	return c;
}

static bool is_measured(const char *column)
{
	return strchr(column, '/') || !strcmp(column, "best");
}

/* The columns of the runs of one line, and what its group has in common. */
static int read_cells(struct app *app, const struct runs *r, const struct runs_line *l,
		      struct runs_shown *s)
{
	const struct columns *c = &app->columns;
	const bool label = l->group && strcmp(c->group, RUN_GROUP_SEED) != 0;
	const char *key[COLUMNS_MAX + 1];
	const size_t keys = c->n + label;
	int64_t *row = malloc(l->n * sizeof(*row));
	struct run_field *f = calloc(l->n * keys + 1, sizeof(*f));
	int code = row && f ? TT_OK : err_set(TT_NOMEM, "not enough memory for the list of runs");

	for (size_t i = 0; i < c->n; i++)
		key[i] = key_of(c->key[i]);
	if (label)
		key[c->n] = c->group;
	for (size_t i = 0; !code && i < l->n; i++)
		row[i] = r->place[l->place + i].row;
	if (!code)
		code = run_fields(app->store, row, l->n, key, keys, f);
	for (size_t k = 0; !code && k < c->n; k++)
		s->cell[k] = fold(f + k, l->n, keys, is_measured(c->key[k]));
	if (!code && label)
		s->label = cell_of(&f[c->n]);
	free(row);
	free(f);
	return code;
}

static int read_line(struct app *app, struct runs *r, const struct runs_line *l, bool again,
		     struct runs_shown *s)
{
	const bool fresh = again || s->line_id != runs_line_id(r, l);
	int code;

	s->line_id = runs_line_id(r, l);
	s->group = l->group ? l->n : 0;
	s->inner = l->inner;
	s->open = l->open;
	memset(s->count, 0, sizeof(s->count));
	for (size_t i = 0; i < l->n; i++)
		s->count[r->place[l->place + i].state]++;
	code = read_run(app, r->place[l->place].row, again, s);
	return code || !fresh ? code : read_cells(app, r, l, s);
}

static void free_shown(struct runs_shown *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run_done(&s[i].run);
	free(s);
}

/* Fill the window; lines that were there before are read again only when asked to. */
static int read_shown(struct app *app, struct runs *r, bool again)
{
	const size_t left = r->lines - r->from, n = left < r->rows ? left : r->rows;
	struct runs_shown *next = calloc(n + 1, sizeof(*next));
	int code = TT_OK;

	if (!next)
		return err_set(TT_NOMEM, "not enough memory for the list of runs");
	for (size_t i = 0; !code && i < n; i++) {
		const struct runs_line *l = &r->line[r->from + i];

		next[i] = take_shown(r, runs_line_id(r, l));
		code = read_line(app, r, l, again, &next[i]);
		if (code ==
		    TT_NOTFOUND) /* purged meanwhile: the next look at the places misses it */
			code = TT_OK;
	}
	free_shown(r->shown, r->shown_n);
	r->shown = next;
	r->shown_n = n;
	return code;
}

const struct runs_shown *runs_here(const struct runs *r)
{
	const size_t i = r->at - r->from;

	return r->lines && r->at >= r->from && i < r->shown_n && r->shown[i].run.row ? &r->shown[i]
										     : NULL;
}

void runs_free(struct runs *r)
{
	free_shown(r->shown, r->shown_n);
	free(r->place);
	free(r->line);
	free(r->where);
}

/* ---- the tick ---- */

static size_t live(const struct runs *r) { return r->count[RUN_RUNNING] + r->count[RUN_PAUSED]; }

static void window_size(const struct app *app, struct runs *r)
{
	const size_t rows = (size_t)app->rows;
	const size_t above = 2 + (r->filter[0] || app->columns.group[0]);

	r->rows = rows > above ? rows - above : 1;
	if (r->rows > SHOWN_MAX)
		r->rows = SHOWN_MAX;
}

static int read_all(struct app *app, struct runs *r)
{
	int code = read_places(app, r);

	if (!code)
		code = make_lines(app, r);
	if (!code)
		keep_cursor(r);
	return code;
}

bool runs_poll(struct screen *s)
{
	struct app *app = s->app;
	struct runs *r = s->state;
	const int64_t now = app->clock();
	const bool second = live(r) && now / 1000000 != r->now / 1000000;
	const bool again = app->changed || (live(r) && now - r->looked_us > look_us);
	int code = TT_OK;

	if (second || again)
		r->now = now;
	if (!app->store)
		return app->changed;
	window_size(app, r);
	if (again) {
		r->looked_us = now;
		code = read_all(app, r);
	}
	keep_window(r);
	if (!code)
		code = read_shown(app, r, again);
	snprintf(r->trouble, sizeof(r->trouble), "%s", code ? err_text() : "");
	return second || again;
}
