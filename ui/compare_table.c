/* A comparison as a table of texts. */
#include "ui/compare_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "ui/widget/text.h"

/* A table in the making. After a failed allocation the rest does nothing, and `bad` says so. */
struct maker {
	struct compare *c;
	const struct compare_view *v;
	const struct compare_columns *k;
	struct compare_table *t;
	bool bad;
};

/* ---- lines ---- */

/* A line of empty cells. */
static struct compare_cell *add_line(struct maker *m, enum compare_kind kind, const char *label)
{
	struct compare_table *t = m->t;
	struct compare_cell *cell = arena_zero(t->arena, t->columns, sizeof(*cell));

	if (t->n == t->room) {
		const size_t room = t->room ? t->room * 2 : 64;
		struct compare_line *more = realloc(t->line, room * sizeof(*more));

		if (more) {
			t->line = more;
			t->room = room;
		}
	}
	label = arena_text(t->arena, label);
	if (!cell || !label || t->n == t->room) {
		m->bad = true;
		return NULL;
	}
	for (size_t i = 0; i < t->columns; i++)
		cell[i] = (struct compare_cell){ .text = "", .stdev = "", .delta = "" };
	t->line[t->n++] = (struct compare_line){ kind, label, cell, false };
	return cell;
}

static void say(struct maker *m, const char **ret, const char *text)
{
	const char *copy = arena_text(m->t->arena, text);

	*ret = copy ? copy : "";
	m->bad |= !copy;
}

/* Which cells differ: known once all have their text. */
static void mark_differences(struct compare_table *t)
{
	for (size_t l = 0; l < t->n; l++) {
		struct compare_cell *cell = (struct compare_cell *)t->line[l].cell;

		for (size_t i = 1; i < t->columns; i++) {
			cell[i].differs = strcmp(cell[i].text, cell[0].text) != 0;
			t->line[l].differs |= cell[i].differs;
		}
	}
}

static const struct compare_run *first_run(const struct maker *m, size_t column)
{
	return &m->c->run[m->k->run[m->k->at[column]]];
}

/* ---- facts ---- */

static void add_names(struct maker *m)
{
	struct compare_cell *cell = add_line(m, COMPARE_NAME, "");
	char text[320];

	for (size_t i = 0; cell && i < m->k->n; i++) {
		const size_t n = compare_column_size(m->k, i);

		snprintf(text, sizeof(text), "%.250s", first_run(m, i)->run.name);
		if (n > 1)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s%zu",
				 m->v->ascii ? "x" : "×", n);
		say(m, &cell[i].text, text);
	}
}

static void add_ids(struct maker *m)
{
	struct compare_cell *cell = add_line(m, COMPARE_FACT, "id");
	char text[64];

	for (size_t i = 0; cell && i < m->k->n; i++) {
		snprintf(text, sizeof(text), "%zu runs", compare_column_size(m->k, i));
		say(m, &cell[i].text,
		    compare_column_size(m->k, i) > 1 ? text : first_run(m, i)->run.id);
	}
}

static void add_text(struct maker *m, const char *label, const char *(*of)(const struct run *r))
{
	struct compare_cell *cell = add_line(m, COMPARE_FACT, label);

	for (size_t i = 0; cell && i < m->k->n; i++)
		say(m, &cell[i].text, of(&first_run(m, i)->run));
}

static const char *method_of(const struct run *r) { return r->method; }

static const char *state_of(const struct run *r) { return run_state_name((int)r->state); }

static void add_params(struct maker *m)
{
	struct compare_cell *cell = add_line(m, COMPARE_FACT, "trainable parameters");
	char text[64];

	for (size_t i = 0; cell && i < m->k->n; i++) {
		snprintf(text, sizeof(text), "%lld",
			 (long long)first_run(m, i)->run.trainable_params);
		say(m, &cell[i].text, text);
	}
}

/* ---- metrics ---- */

/* A value in as many digits as one of the size of `like` is worth. */
static void value_text(double v, double like, char ret[NUMBER_SIZE])
{
	if (like != 0 && (fabs(like) < 1e-3 || fabs(like) >= 1e6))
		snprintf(ret, NUMBER_SIZE, "%.4g", v);
	else
		snprintf(ret, NUMBER_SIZE, "%.4f", v);
}

/* The mean, its spread over seeds, and how far it is from the baseline's. */
static void say_spread(struct maker *m, struct compare_cell *cell, const struct compare_spread *s,
		       const struct compare_spread *base)
{
	char value[NUMBER_SIZE], text[NUMBER_SIZE + 8];

	value_text(s->mean, s->mean, value);
	say(m, &cell->text, value);
	if (s->n > 1) {
		value_text(s->stdev, s->mean, value);
		snprintf(text, sizeof(text), "%s%s", m->v->ascii ? "+-" : "±", value);
		say(m, &cell->stdev, text);
	}
	if (base) {
		value_text(fabs(s->mean - base->mean), s->mean, value);
		snprintf(text, sizeof(text), "%c%s", s->mean < base->mean ? '-' : '+', value);
		say(m, &cell->delta, text);
	}
}

/* One run without a finite value says what it has: NaN, or nothing. */
static void odd_text(const struct maker *m, size_t column, const char *key, char *ret, size_t size)
{
	const struct compare_run *r = first_run(m, column);

	snprintf(ret, size, "-");
	for (size_t i = 0; i < r->last_n; i++)
		if (!strcmp(r->last[i].key, key) && !isfinite(r->last[i].value))
			number_value(ret, r->last[i].value, 9);
}

static void mark_best(const struct maker *m, struct compare_cell *cell, const char *key,
		      compare_value *value)
{
	const double sign = compare_less_is_better(m->c, key) ? -1 : 1;
	double best = -INFINITY, worst = INFINITY;

	for (size_t i = 0; i < m->k->n; i++) {
		const double mean = sign * compare_spread(m->c, m->k, i, value, key).mean;

		best = mean > best ? mean : best;
		worst = mean < worst ? mean : worst;
	}
	for (size_t i = 0; i < m->k->n; i++)
		cell[i].best = worst < best &&
			       sign * compare_spread(m->c, m->k, i, value, key).mean == best;
}

static void add_values(struct maker *m, const char *label, const char *key, compare_value *value)
{
	struct compare_cell *cell = add_line(m, COMPARE_METRIC, label);
	const struct compare_spread base = compare_spread(m->c, m->k, 0, value, key);
	char text[NUMBER_SIZE];

	for (size_t i = 0; cell && i < m->k->n; i++) {
		const struct compare_spread s = compare_spread(m->c, m->k, i, value, key);

		if (s.n) {
			say_spread(m, &cell[i], &s, i && base.n ? &base : NULL);
			continue;
		}
		odd_text(m, i, key, text, sizeof(text));
		say(m, &cell[i].text, text);
	}
	if (cell)
		mark_best(m, cell, key, value);
}

/* ---- tests ---- */

static void p_text(double p, char ret[NUMBER_SIZE])
{
	snprintf(ret, NUMBER_SIZE, isnan(p) ? "-" : p < 1e-4 ? "%.2g" : "%.4f", p);
}

static void interval_text(const struct stats_interval *x, char *ret, size_t size)
{
	if (isnan(x->lo))
		snprintf(ret, size, "-");
	else
		snprintf(ret, size, "%+.4f..%+.4f", x->lo, x->hi);
}

/* A line of numbers, one a column but the first; at: where the number lies in an element. */
static void add_p(struct maker *m, const char *label, const void *first, size_t size, size_t at)
{
	struct compare_cell *cell = add_line(m, COMPARE_TEST, label);
	char text[NUMBER_SIZE];

	for (size_t i = 1; cell && i < m->k->n; i++) {
		double p;

		memcpy(&p, (const char *)first + i * size + at, sizeof(p));
		p_text(p, text);
		say(m, &cell[i].text, text);
	}
}

static void add_intervals(struct maker *m, const char *label, const void *first, size_t size,
			  size_t at)
{
	struct compare_cell *cell = add_line(m, COMPARE_TEST, label);
	char text[64];

	for (size_t i = 1; cell && i < m->k->n; i++) {
		struct stats_interval x;

		memcpy(&x, (const char *)first + i * size + at, sizeof(x));
		interval_text(&x, text, sizeof(text));
		say(m, &cell[i].text, text);
	}
}

static void add_pairs(struct maker *m, const struct compare_seeds *s)
{
	struct compare_cell *cell = add_line(m, COMPARE_TEST, "  seeds in common");
	char text[32];

	for (size_t i = 1; cell && i < m->k->n; i++) {
		snprintf(text, sizeof(text), "%zu", s[i].pairs);
		say(m, &cell[i].text, s[i].pairs ? text : "unpaired");
	}
}

/* Nothing is tested where no column has two seeds in common with the baseline. */
static int add_seed_tests(struct maker *m, const char *key)
{
	const size_t size = sizeof(struct compare_seeds);
	struct compare_seeds s[COMPARE_RUNS];
	size_t most = 0;
	const int code = compare_seeds(m->c, m->k, key, s);

	if (code)
		return code;
	for (size_t i = 1; i < m->k->n; i++)
		most = s[i].pairs > most ? s[i].pairs : most;
	if (most < 2)
		return TT_OK;
	add_pairs(m, s);
	add_p(m, "  p, sign-flip", s, size, offsetof(struct compare_seeds, p));
	add_p(m, "  its least p", s, size, offsetof(struct compare_seeds, least));
	if (m->k->n > 2)
		add_p(m, "  p by Holm", s, size, offsetof(struct compare_seeds, holm));
	add_intervals(m, "  95 % interval", s, size, offsetof(struct compare_seeds, interval));
	return TT_OK;
}

static void add_count(struct maker *m, const char *label, const struct compare_rows *r, bool better)
{
	struct compare_cell *cell = add_line(m, COMPARE_TEST, label);
	char text[32];

	for (size_t i = 1; cell && i < m->k->n; i++) {
		snprintf(text, sizeof(text), "%lld",
			 (long long)(better ? r[i].better : r[i].worse));
		say(m, &cell[i].text, r[i].known ? text : "-");
	}
}

/* Only where some column kept answers to the same rows as the baseline. */
static int add_row_tests(struct maker *m)
{
	const size_t size = sizeof(struct compare_rows);
	struct compare_rows r[COMPARE_RUNS];
	bool known = false;
	const int code = compare_rows(m->c, m->k, r);

	for (size_t i = 1; !code && i < m->k->n; i++)
		known |= r[i].known;
	if (code || !known)
		return code;
	add_count(m, "rows only it gets right", r, true);
	add_count(m, "rows only the baseline does", r, false);
	add_p(m, "  p, McNemar", r, size, offsetof(struct compare_rows, p));
	if (m->k->n > 2)
		add_p(m, "  p by Holm", r, size, offsetof(struct compare_rows, holm));
	add_intervals(m, "  95 % of accuracy", r, size, offsetof(struct compare_rows, interval));
	return TT_OK;
}

/* ---- settings ---- */

/* Of a column of several: each value once, in order of the runs. */
static void setting_text(const struct maker *m, size_t column, const char *path, struct buf *out)
{
	for (size_t i = m->k->at[column]; i < m->k->at[column + 1]; i++) {
		const struct json *j = compare_setting(m->c, m->k->run[i], path);
		char *text = j ? json_print(j, false) : NULL;
		bool known = false;

		for (size_t b = m->k->at[column]; b < i; b++)
			known |= !compare_pair_differs(m->c, path, m->k->run[b], m->k->run[i]);
		if (!known)
			buf_printf(out, "%s%s", i > m->k->at[column] ? " " : "", text ? text : "-");
		free(text);
	}
}

static void add_setting(struct maker *m, const char *path)
{
	struct compare_cell *cell = add_line(m, COMPARE_SETTING, path);
	struct buf text;

	for (size_t i = 0; cell && i < m->k->n; i++) {
		buf_init(&text, (size_t)1 << 20);
		setting_text(m, i, path, &text);
		say(m, &cell[i].text, text.data && !text.bad ? text.data : "");
		buf_done(&text);
	}
}

/* ---- the whole ---- */

/* A best value says nothing where each run ended with its best. */
static void add_best(struct maker *m, const char *key)
{
	struct compare_table *t = m->t;
	char label[METRIC_KEY_MAX + 16];
	bool news = false;

	snprintf(label, sizeof(label), "%.200s, best", key);
	add_values(m, label, key, compare_best);
	for (size_t i = 0; !m->bad && i < t->columns; i++)
		news |= strcmp(t->line[t->n - 1].cell[i].text, t->line[t->n - 2].cell[i].text) != 0;
	if (!m->bad && !news)
		t->n--;
}

static int add_metrics(struct maker *m)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < m->v->key_n; i++) {
		add_values(m, m->v->key[i], m->v->key[i], compare_last);
		add_best(m, m->v->key[i]);
		code = add_seed_tests(m, m->v->key[i]);
	}
	return code;
}

static int add_all(struct maker *m)
{
	int code;

	add_names(m);
	add_ids(m);
	add_text(m, "method", method_of);
	add_text(m, "state", state_of);
	add_params(m);
	code = add_metrics(m);
	if (!code)
		code = add_row_tests(m);
	for (size_t i = 0; !code && i < m->c->path_n; i++)
		if (compare_differs(m->c, m->c->path[i]))
			add_setting(m, m->c->path[i]);
	return code;
}

int compare_table(struct compare *c, const struct compare_view *v, struct compare_table *ret)
{
	struct maker m = { c, v, v->columns, ret, false };
	int code;

	*ret = (struct compare_table){ .arena = arena_new(), .columns = v->columns->n };
	if (!ret->arena)
		return err_set(TT_NOMEM, "not enough memory for a table");
	code = add_all(&m);
	if (!code && m.bad)
		code = err_set(TT_NOMEM, "not enough memory for a table");
	if (!code)
		mark_differences(ret);
	return code;
}

void compare_cell_text(const struct compare_cell *cell, char *ret, size_t size)
{
	snprintf(ret, size, "%s%s%s%s%s", cell->text, cell->stdev[0] ? " " : "", cell->stdev,
		 cell->delta[0] ? " " : "", cell->delta);
}

void compare_table_done(struct compare_table *t)
{
	arena_free(t->arena);
	free(t->line);
	*t = (struct compare_table){ .n = 0 };
}
