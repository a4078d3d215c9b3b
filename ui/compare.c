/* Runs side by side. */
#include "ui/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"

enum {
	PATHS_MAX = 4096,
	RESAMPLES = 2000,
	RESAMPLES_LEAST = 200,
	DRAWS_MOST = 40000000 /* of all resamples of one pair: about a second */
};

_Static_assert(COMPARE_RUNS <= 2 * STATS_PAIRS_MAX, "each pair takes two runs");

static const char seed_path[] = "train.seed";
/* Words about a run, which do not change what it computes. */
static const char *const said_only[] = { seed_path, "description", "tags" };

/* ---- recipes ---- */

static int add_path(struct compare *c, const char *path)
{
	for (size_t i = 0; i < c->path_n; i++)
		if (!strcmp(c->path[i], path))
			return TT_OK;
	if (c->path_n == PATHS_MAX)
		return err_set(TT_INVALID, "the recipes have more than %d settings", PATHS_MAX);
	if (c->path_n == c->path_room) {
		const size_t room = c->path_room ? c->path_room * 2 : 128;
		char(*more)[COMPARE_PATH] = realloc(c->path, room * sizeof(*more));

		if (!more)
			return err_set(TT_NOMEM, "not enough memory for the settings of runs");
		c->path = more;
		c->path_room = room;
	}
	snprintf(c->path[c->path_n++], COMPARE_PATH, "%s", path);
	return TT_OK;
}

/* Arrays are leaves: target_modules differs as a whole. Notes and the name are no settings. */
static int collect(struct compare *c, const struct json *object, const char *above)
{
	int code = TT_OK;

	for (const struct json *m = json_first(object); m && !code; m = json_next(m)) {
		const char *key = json_key(m);
		char path[COMPARE_PATH];

		if (!strcmp(key, "note") || (!*above && !strcmp(key, "name")))
			continue;
		snprintf(path, sizeof(path), "%s%s%s", above, *above ? "." : "", key);
		code = json_type(m) == JSON_OBJECT ? collect(c, m, path) : add_path(c, path);
	}
	return code;
}

const struct json *compare_setting(const struct compare *c, size_t run, const char *path)
{
	const struct json *doc = c->run[run].recipe;
	char key[COMPARE_PATH];

	while (doc && *path) {
		const size_t n = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		doc = json_get(doc, key);
		path += n + (path[n] == '.');
	}
	return doc;
}

bool compare_pair_differs(const struct compare *c, const char *path, size_t a, size_t b)
{
	const struct json *x = compare_setting(c, a, path), *y = compare_setting(c, b, path);
	char *s = x ? json_print(x, false) : NULL, *t = y ? json_print(y, false) : NULL;
	const bool differs = !s != !t || (s && strcmp(s, t) != 0);

	free(s);
	free(t);
	return differs;
}

bool compare_differs(const struct compare *c, const char *path)
{
	for (size_t i = 1; i < c->n; i++)
		if (compare_pair_differs(c, path, 0, i))
			return true;
	return false;
}

/* ---- runs ---- */

/* A comparison without them is better than none. */
static void read_answers(struct compare *c, struct compare_run *r)
{
	if (!answers_read(r->run.dir, &r->answers))
		return;
	answers_done(&r->answers);
	snprintf(c->trouble, sizeof(c->trouble), "%s", err_text());
}

static int load(struct compare *c, struct store *st, struct compare_run *r)
{
	char *text;
	int code = run_recipe(st, r->run.id, &text);

	if (code)
		return code;
	code = json_parse(text, strlen(text), &r->recipe);
	free(text);
	if (code)
		return err_in("the recipe of run %s", r->run.id);
	code = collect(c, r->recipe, "");
	if (!code)
		code = metric_last(st, r->run.row, &r->last, &r->last_n);
	if (!code)
		read_answers(c, r);
	return code;
}

int compare_add(struct compare *c, struct store *st, struct run *run)
{
	if (c->n == COMPARE_RUNS) {
		run_done(run);
		return err_set(TT_INVALID, "at most %d runs can be compared", COMPARE_RUNS);
	}
	c->run[c->n] = (struct compare_run){ .run = *run };
	return load(c, st, &c->run[c->n++]);
}

static bool may_change(const struct run *r)
{
	return r->state == RUN_QUEUED || r->state == RUN_RUNNING || r->state == RUN_PAUSED;
}

static int refresh(struct compare *c, struct store *st, struct compare_run *r)
{
	struct metric_last *last;
	struct run run;
	size_t n;
	int code = run_get_row(st, r->run.row, &run);

	if (code)
		return code == TT_NOTFOUND ? TT_OK : code;
	code = metric_last(st, run.row, &last, &n);
	if (code) {
		run_done(&run);
		return code;
	}
	run_done(&r->run);
	free(r->last);
	r->run = run;
	r->last = last;
	r->last_n = n;
	if (!may_change(&run) && !r->answers.n)
		read_answers(c, r);
	return TT_OK;
}

int compare_refresh(struct compare *c, struct store *st)
{
	int code = TT_OK;

	for (size_t i = 0; !code && i < c->n; i++)
		code = refresh(c, st, &c->run[i]);
	return code;
}

void compare_done(struct compare *c)
{
	free(c->tested);
	for (size_t i = 0; i < c->n; i++) {
		run_done(&c->run[i].run);
		json_free(c->run[i].recipe);
		free(c->run[i].last);
		answers_done(&c->run[i].answers);
	}
	free(c->path);
	*c = (struct compare){ .n = 0 };
}

/* ---- metrics ---- */

static const struct metric_last *last_of(const struct compare *c, size_t run, const char *key)
{
	for (size_t i = 0; i < c->run[run].last_n; i++)
		if (!strcmp(c->run[run].last[i].key, key))
			return &c->run[run].last[i];
	return NULL;
}

bool compare_has(const struct compare *c, const char *key)
{
	for (size_t i = 0; i < c->n; i++)
		if (last_of(c, i, key))
			return true;
	return false;
}

double compare_last(const struct compare *c, size_t run, const char *key)
{
	const struct metric_last *last = last_of(c, run, key);

	return last ? last->value : NAN;
}

double compare_best(const struct compare *c, size_t run, const char *key)
{
	const struct metric_last *last = last_of(c, run, key);

	if (!last)
		return NAN;
	return compare_less_is_better(c, key) ? last->min : last->max;
}

static bool ends_in(const char *text, const char *end)
{
	const size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

bool compare_less_is_better(const struct compare *c, const char *key)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->run[i].run.metric_key, key))
			return !c->run[i].run.best_greater;
	return ends_in(key, "loss") || ends_in(key, "perplexity");
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

int compare_keys(const struct compare *c, const char ***ret, size_t *ret_n)
{
	size_t room = 1, n = 0, kept = 0;
	const char **key;

	for (size_t i = 0; i < c->n; i++)
		room += c->run[i].last_n;
	key = calloc(room, sizeof(*key));
	if (!key)
		return err_set(TT_NOMEM, "not enough memory for the metrics of runs");
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->run[i].last_n; k++) {
			const char *name = c->run[i].last[k].key;

			if (!strncmp(name, "eval/", 5) || !strcmp(name, "train/loss"))
				key[n++] = name;
		}
	qsort(key, n, sizeof(*key), by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(key[kept - 1], key[i]) != 0)
			key[kept++] = key[i];
	*ret = key;
	*ret_n = kept;
	return TT_OK;
}

/* ---- columns ---- */

static bool about_only(const char *path)
{
	for (size_t i = 0; i < COUNT(said_only); i++)
		if (!strcmp(path, said_only[i]))
			return true;
	return false;
}

static bool same_but_seed(const struct compare *c, size_t a, size_t b)
{
	for (size_t i = 0; i < c->path_n; i++)
		if (!about_only(c->path[i]) && compare_pair_differs(c, c->path[i], a, b))
			return false;
	return true;
}

void compare_columns(const struct compare *c, bool fold, struct compare_columns *ret)
{
	bool taken[COMPARE_RUNS] = { false };
	size_t put = 0;

	*ret = (struct compare_columns){ .n = 0 };
	for (size_t i = 0; i < c->n; i++) {
		if (taken[i])
			continue;
		for (size_t k = i; k < c->n && (fold || k == i); k++)
			if (!taken[k] && (k == i || same_but_seed(c, i, k))) {
				taken[k] = true;
				ret->run[put++] = k;
			}
		ret->at[++ret->n] = put;
	}
}

void compare_columns_best(const struct compare *c, struct compare_columns *ret)
{
	compare_columns(c, true, ret);
	if (ret->n == 1)
		compare_columns(c, false, ret);
}

size_t compare_column_size(const struct compare_columns *k, size_t i)
{
	return k->at[i + 1] - k->at[i];
}

void compare_pin(struct compare *c, const struct compare_columns *k, size_t i)
{
	for (size_t n = 0; n < compare_column_size(k, i); n++) {
		const size_t from =
			k->run[k->at[i] + n]; /* they rise, so the later ones stay where they are */
		const struct compare_run run = c->run[from];

		memmove(&c->run[n + 1], &c->run[n], (from - n) * sizeof(run));
		c->run[n] = run;
	}
}

struct compare_spread compare_spread(const struct compare *c, const struct compare_columns *k,
				     size_t i, compare_value *value, const char *key)
{
	double x[COMPARE_RUNS];
	size_t n = 0;

	for (size_t r = k->at[i]; r < k->at[i + 1]; r++) {
		x[n] = value(c, k->run[r], key);
		n += isfinite(x[n]) ? 1 : 0;
	}
	return (struct compare_spread){ n, stats_mean(x, n), stats_stdev(x, n) };
}

/* ---- tests ---- */

/* Holm over what stands at the same place of each element but the first. */
static int correct(size_t n, const double *p, double *ret)
{
	ret[0] = NAN;
	return stats_holm(p + 1, n - 1, ret + 1);
}

static double seed_of(const struct compare *c, size_t run)
{
	return json_number(compare_setting(c, run, seed_path));
}

/* Differences over the seeds that both columns have; each run counts once. */
static size_t pair_up(const struct compare *c, const struct compare_columns *k, size_t column,
		      const char *key, double *ret)
{
	bool used[COMPARE_RUNS] = { false };
	size_t n = 0;

	for (size_t i = k->at[column]; i < k->at[column + 1]; i++) {
		const double here = compare_last(c, k->run[i], key), seed = seed_of(c, k->run[i]);

		for (size_t b = k->at[0]; b < k->at[1] && isfinite(here); b++) {
			const double there = compare_last(c, k->run[b], key);

			if (used[b] || !isfinite(there) || seed_of(c, k->run[b]) != seed)
				continue;
			used[b] = true;
			ret[n++] = here - there;
			break;
		}
	}
	return n;
}

static const struct stats_interval no_interval = { NAN, NAN };

/* More rows, fewer resamples, so that nobody waits. */
static struct stats_bootstrap bootstrap_of(size_t n)
{
	const size_t most = DRAWS_MOST / (n ? n : 1);

	return (struct stats_bootstrap){
		.resamples = most > RESAMPLES         ? RESAMPLES
			     : most < RESAMPLES_LEAST ? RESAMPLES_LEAST
						      : most,
		.seed = 0,
		.level = 0.95,
	};
}

static int test_seeds(const struct compare *c, const struct compare_columns *k, size_t column,
		      const char *key, struct compare_seeds *ret)
{
	double d[COMPARE_RUNS];
	const size_t n = pair_up(c, k, column, key, d);
	const struct stats_bootstrap how = bootstrap_of(n);
	int code;

	*ret = (struct compare_seeds){ n, NAN, NAN, NAN, NAN, no_interval };
	if (!n) {
		ret->difference = compare_spread(c, k, column, compare_last, key).mean -
				  compare_spread(c, k, 0, compare_last, key).mean;
		return TT_OK;
	}
	ret->difference = stats_mean(d, n);
	ret->least = stats_sign_flip_least(n);
	if (n < 2)
		return TT_OK;
	code = stats_sign_flip(d, n, &ret->p);
	if (!code)
		code = stats_bootstrap(d, n, &how, &ret->interval);
	return code;
}

int compare_seeds(const struct compare *c, const struct compare_columns *k, const char *key,
		  struct compare_seeds *ret)
{
	double p[COMPARE_RUNS] = { NAN }, holm[COMPARE_RUNS] = { NAN };
	int code = TT_OK;

	ret[0] = (struct compare_seeds){ 0, NAN, NAN, NAN, NAN, no_interval };
	for (size_t i = 1; !code && i < k->n; i++) {
		code = test_seeds(c, k, i, key, &ret[i]);
		p[i] = ret[i].p;
	}
	if (!code && k->n > 1)
		code = correct(k->n, p, holm);
	for (size_t i = 1; !code && i < k->n; i++)
		ret[i].holm = holm[i];
	return code;
}

static int rows_interval(const struct answers *a, const struct answers *b,
			 struct stats_interval *ret)
{
	const struct stats_bootstrap how = bootstrap_of(a->n);
	double *d = calloc(a->n, sizeof(*d));
	int code;

	if (!d)
		return err_set(TT_NOMEM, "not enough memory for %zu answers", a->n);
	for (size_t i = 0; i < a->n; i++)
		d[i] = (double)b->row[i].right - (double)a->row[i].right;
	code = stats_bootstrap(d, a->n, &how, ret);
	free(d);
	return code;
}

static const struct compare_rows *tested(const struct compare *c, int64_t first, int64_t run)
{
	for (size_t i = 0; i < c->tested_n; i++)
		if (c->tested[i].first == first && c->tested[i].run == run)
			return &c->tested[i];
	return NULL;
}

static int test_rows(struct compare *c, const struct compare_run *first,
		     const struct compare_run *run, struct compare_rows *ret)
{
	const struct compare_rows *before = tested(c, first->run.row, run->run.row);
	struct compare_rows *more;
	int code;

	if (before) {
		*ret = *before;
		return TT_OK;
	}
	ret->first = first->run.row;
	ret->run = run->run.row;
	ret->known = true;
	ret->rows = (int64_t)run->answers.n;
	answers_count(&first->answers, &run->answers, &ret->worse, &ret->better);
	ret->p = stats_mcnemar(ret->better, ret->worse);
	code = rows_interval(&first->answers, &run->answers, &ret->interval);
	if (code)
		return code;
	more = realloc(c->tested, (c->tested_n + 1) * sizeof(*more));
	if (!more)
		return err_set(TT_NOMEM, "not enough memory for the tests of runs");
	c->tested = more;
	c->tested[c->tested_n++] = *ret;
	return TT_OK;
}

static int test_column(struct compare *c, const struct compare_columns *k, size_t column,
		       struct compare_rows *ret)
{
	const struct compare_run *first = &c->run[k->run[0]], *run = &c->run[k->run[k->at[column]]];

	*ret = (struct compare_rows){ .p = NAN, .holm = NAN, .interval = no_interval };
	if (compare_column_size(k, 0) != 1 || compare_column_size(k, column) != 1 ||
	    !answers_same_rows(&first->answers, &run->answers))
		return TT_OK;
	return test_rows(c, first, run, ret);
}

int compare_rows(struct compare *c, const struct compare_columns *k, struct compare_rows *ret)
{
	double p[COMPARE_RUNS] = { NAN }, holm[COMPARE_RUNS] = { NAN };
	int code = TT_OK;

	ret[0] = (struct compare_rows){ .p = NAN, .holm = NAN, .interval = no_interval };
	for (size_t i = 1; !code && i < k->n; i++) {
		code = test_column(c, k, i, &ret[i]);
		p[i] = ret[i].p;
	}
	if (!code && k->n > 1)
		code = correct(k->n, p, holm);
	for (size_t i = 1; !code && i < k->n; i++)
		ret[i].holm = holm[i];
	return code;
}
