/*
 * Every method on the movie reviews with mini-bert-en: what it reaches over some
 * seeds, what it trains, holds and costs, beside full fine-tuning and the head
 * alone. Usage:
 *
 *     bench/methods/table [train] [measure] [write] --trimtab FILE --home DIR
 *                         --out DIR [--seeds N] [--only TEXT]
 *
 * What is on the table are the recipes that `trimtab recipes` lists, of the head's
 * model, task and data, that train.
 *
 * train    `trimtab run` of every recipe, one seed after the other, on one thread.
 *          The data home DIR keeps the runs: what has finished there with the same
 *          settings is not run again, so all may be stopped and begun anew.
 * measure  a few steps of each, several times over, as bench/step does; kept in
 *          DIR/speed, too, and not done again before that is removed.
 * write    table.md and table.json, from what there is. DIR/notes.json of --out says
 *          why a method is behind the head; one that is behind it without a note, and
 *          one that is no better than guessing, is a failure.
 *
 * Without one of these words, all three. TEXT picks recipes whose name holds it.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "bench/cell.h"

enum { ROWS_MOST = 64, SEEDS_MOST = 16, NAME_ROOM = 64, OUTPUT_MOST = 1 << 24 };
enum { STEPS = 16, BATCH = 32, PASSES = 4 }; /* what is measured */

static const char head_recipe[] = "mr-head";
/* Half of the rows are of each label; with 1,066 of them this is two deviations above. */
#define GUESSING 0.53

/* Runs of one recipe. */
struct row {
	char name[NAME_ROOM], method[NAME_ROOM], path[PATH_MAX];
	int n; /* seeds that have finished */
	double validation[SEEDS_MOST], test[SEEDS_MOST];
	double trainable, total;
	struct figures speed; /* not done: not measured */
};

struct table {
	const char *trimtab, *home, *out, *only;
	int seeds;
	bool train, measure, write;
	struct row row[ROWS_MOST];
	size_t n;
};

/* What begins late in a run begins at once in one of a few steps. */
static const struct sooner {
	const char *method, *set[2];
} sooner[] = {
	{ "adalora", { "peft.tinit=0", "peft.tfinal=0" } },
	{ "delta_lora", { "peft.start_steps=0", NULL } },
};

/* ---- trimtab's own words ---- */

static int ask(const struct table *t, const char *const *words, struct buf *ret)
{
	const char *argv[16] = { t->trimtab };

	for (size_t i = 0; words[i] && i + 2 < COUNT(argv); i++)
		argv[i + 1] = words[i];
	return proc_capture((char *const *)argv, OUTPUT_MOST, ret);
}

/* One document. */
static int ask_json(const struct table *t, const char *const *words, struct json **ret)
{
	struct buf out;
	int rc = ask(t, words, &out);

	if (rc)
		return rc;
	rc = json_parse(out.data ? out.data : "", out.size, ret);
	buf_done(&out);
	return rc;
}

typedef int visit_line(struct table *t, const struct json *line, void *arg);

/* One line after the other, until a visitor returns other than 0. */
static int ask_lines(struct table *t, const char *const *words, visit_line *visit, void *arg)
{
	struct buf out;
	size_t from = 0;
	int rc = ask(t, words, &out);

	if (rc)
		return rc;
	while (!rc && from < out.size) {
		const char *end = memchr(out.data + from, '\n', out.size - from);
		const size_t n = end ? (size_t)(end - out.data) - from : out.size - from;
		struct json *line = NULL;

		if (n)
			rc = json_parse(out.data + from, n, &line);
		if (!rc && line)
			rc = visit(t, line, arg);
		json_free(line);
		from += n + 1;
	}
	buf_done(&out);
	return rc;
}

/* ---- recipes ---- */

static bool same(const struct json *a, const struct json *b, const char *of, const char *key)
{
	const char *x, *y;

	if (of) {
		a = json_get(a, of);
		b = json_get(b, of);
	}
	x = json_text(json_get(a, key));
	y = json_text(json_get(b, key));
	return x && y && !strcmp(x, y);
}

/* Is it one of those that can be compared with the head's? */
static int belongs(const char *path, const struct json *head, bool *ret)
{
	struct json *j;
	const int rc = json_load(path, OUTPUT_MOST, &j);

	if (rc)
		return rc;
	*ret = same(j, head, NULL, "base_model") && same(j, head, "task", "type") &&
	       same(j, head, "data", "train") &&
	       !(json_number(json_get(json_get(j, "train"), "num_train_epochs")) <= 0);
	json_free(j);
	return TT_OK;
}

static int add_recipe(struct table *t, const struct json *line, void *arg)
{
	const char *name = json_text(json_get(line, "name")),
		   *path = json_text(json_get(line, "path")),
		   *method = json_text(json_get(line, "method"));
	struct row *row = &t->row[t->n];
	bool yes = false;
	int rc;

	if (!name || !path || !method)
		return err_set(TT_INVALID, "`trimtab recipes` says nothing of name and path");
	rc = belongs(path, arg, &yes);
	if (rc || !yes || (t->only && !strstr(name, t->only) && strcmp(name, head_recipe) != 0))
		return rc;
	if (t->n == ROWS_MOST)
		return err_set(TT_INVALID, "there are more than %d recipes", ROWS_MOST);
	*row = (struct row){ .n = 0 };
	snprintf(row->name, sizeof(row->name), "%s", name);
	snprintf(row->method, sizeof(row->method), "%s", method);
	snprintf(row->path, sizeof(row->path), "%s", path);
	t->n++;
	return TT_OK;
}

static int find_head(struct table *t, const struct json *line, void *arg)
{
	const char *name = json_text(json_get(line, "name")),
		   *path = json_text(json_get(line, "path"));

	(void)t;
	if (!name || !path || strcmp(name, head_recipe) != 0)
		return TT_OK;
	return json_load(path, OUTPUT_MOST, arg);
}

static int list_recipes(struct table *t)
{
	const char *const words[] = { "recipes", "--json", NULL };
	struct json *head = NULL;
	int rc = ask_lines(t, words, find_head, &head);

	if (!rc && !head)
		rc = err_set(TT_NOTFOUND, "`trimtab recipes` has no %s to compare with",
			     head_recipe);
	if (!rc)
		rc = ask_lines(t, words, add_recipe, head);
	json_free(head);
	return rc;
}

/* ---- runs ---- */

/* A run has paths as they are found from anywhere, a recipe from its own folder. */
static bool same_text(const char *run, const char *recipe)
{
	const size_t n = strlen(run), tail = strlen(recipe);

	return !strcmp(run, recipe) ||
	       (strchr(recipe, '/') && n > tail && run[n - tail - 1] == '/' &&
		!strcmp(run + n - tail, recipe));
}

static bool same_value(const struct json *run, const struct json *recipe)
{
	const struct json *a = json_first(run), *b = json_first(recipe);
	char *printed[2];
	bool equal;

	if (json_type(run) != json_type(recipe))
		return false;
	if (json_type(run) == JSON_TEXT)
		return same_text(json_text(run), json_text(recipe));
	if (json_type(run) == JSON_ARRAY) {
		for (; a && b && same_value(a, b); a = json_next(a))
			b = json_next(b);
		return !a && !b;
	}
	printed[0] = json_print(run, false);
	printed[1] = json_print(recipe, false);
	equal = printed[0] && printed[1] && !strcmp(printed[0], printed[1]);
	free(printed[0]);
	free(printed[1]);
	return equal;
}

/* Does the run's object hold all that the recipe's holds, with the same values? */
static bool holds(const struct json *run, const struct json *recipe)
{
	for (const struct json *j = json_first(recipe); j; j = json_next(j)) {
		const struct json *its = json_get(run, json_key(j));

		if (strcmp(json_key(j), "seed") != 0 && !(its && same_value(its, j)))
			return false;
	}
	return true;
}

/* The newest finished run of a name. */
struct found {
	char name[NAME_ROOM + 16], id[NAME_ROOM];
};

static int find_run(struct table *t, const struct json *line, void *arg)
{
	struct found *f = arg;
	const char *name = json_text(json_get(line, "name")),
		   *state = json_text(json_get(line, "state")),
		   *id = json_text(json_get(line, "id"));

	(void)t;
	if (!*f->id && name && state && id && !strcmp(name, f->name) && !strcmp(state, "finished"))
		snprintf(f->id, sizeof(f->id), "%s", id);
	return TT_OK;
}

static void run_name(const struct row *row, int seed, char *ret, size_t size)
{
	snprintf(ret, size, "%s-%d", row->name, seed);
}

/* What `trimtab show` says of it; NULL: it has not finished, or with other settings. */
static int finished(struct table *t, const struct row *row, int seed, struct json **ret)
{
	struct found f = { .id = "" };
	struct json *recipe = NULL, *run = NULL;
	char db[PATH_MAX];
	int rc = fs_join(db, sizeof(db), t->home, "runs.db");

	*ret = NULL;
	run_name(row, seed, f.name, sizeof(f.name));
	if (!rc && !fs_exists(db))
		return TT_OK;
	if (!rc)
		rc = ask_lines(t, (const char *[]){ "ls", "--json", NULL }, find_run, &f);
	if (rc || !*f.id)
		return rc;
	rc = json_load(row->path, OUTPUT_MOST, &recipe);
	if (!rc)
		rc = ask_json(t, (const char *[]){ "show", f.id, "--json", NULL }, &run);
	if (!rc && holds(json_get(json_get(run, "recipe"), "peft"), json_get(recipe, "peft")) &&
	    holds(json_get(json_get(run, "recipe"), "train"), json_get(recipe, "train"))) {
		*ret = run;
		run = NULL;
	}
	json_free(recipe);
	json_free(run);
	return rc;
}

/* One that fails is not the end of the others. */
static int train_one(struct table *t, const struct row *row, int seed)
{
	char name[NAME_ROOM + 16], set[32];
	const char *const words[] = { "run",   row->path,           "--name", name, "--set", set,
				      "--set", "compute.threads=1", NULL };
	struct buf out;
	struct json *done;
	int rc = finished(t, row, seed, &done);

	if (rc || done) {
		json_free(done);
		return rc;
	}
	run_name(row, seed, name, sizeof(name));
	snprintf(set, sizeof(set), "train.seed=%d", seed);
	printf("%s\n", name);
	fflush(stdout);
	if (!ask(t, words, &out))
		buf_done(&out);
	else
		fprintf(stderr, "table: %s: %s\n", name, err_text());
	return TT_OK;
}

/* Seed by seed, so that a table of fewer seeds has all methods. */
static int train(struct table *t)
{
	for (int seed = 1; seed <= t->seeds; seed++)
		for (size_t i = 0; i < t->n; i++) {
			const int rc = train_one(t, &t->row[i], seed);

			if (rc)
				return rc;
		}
	return TT_OK;
}

/* Accuracy on the test rows, kept in the run's folder. */
static int test_of(const struct table *t, const struct json *run, double *ret)
{
	const char *id = json_text(json_get(run, "id")), *dir = json_text(json_get(run, "dir"));
	char path[PATH_MAX];
	struct json *j = NULL;
	struct buf out;
	int rc;

	if (!id || !dir)
		return err_set(TT_INVALID, "`trimtab show` says nothing of id and dir");
	rc = fs_join(path, sizeof(path), dir, "test.json");
	if (!rc && !fs_exists(path)) {
		rc = ask(t, (const char *[]){ "eval", id, "--split", "test", "--json", NULL },
			 &out);
		if (!rc) {
			rc = fs_write_atomic(path, out.data, out.size);
			buf_done(&out);
		}
	}
	if (!rc)
		rc = json_load(path, OUTPUT_MOST, &j);
	if (!rc)
		*ret = json_number(json_get(j, "accuracy"));
	json_free(j);
	return rc;
}

/* The seeds of one recipe that have finished. */
static int gather(struct table *t, struct row *row)
{
	for (int seed = 1; seed <= t->seeds; seed++) {
		struct json *run;
		int rc = finished(t, row, seed, &run);

		if (!rc && run) {
			row->validation[row->n] = json_number(
				json_get(json_get(run, "last"), "eval/accuracy"));
			row->trainable = json_number(json_get(run, "trainable_params"));
			row->total = json_number(json_get(run, "total_params"));
			rc = test_of(t, run, &row->test[row->n]);
			row->n++;
		}
		json_free(run);
		if (rc)
			return rc;
	}
	return TT_OK;
}

/* ---- a few steps ---- */

static int speed_path(const struct table *t, const struct row *row, char *ret)
{
	char dir[PATH_MAX], name[NAME_ROOM + 16];
	int rc = fs_join(dir, sizeof(dir), t->home, "speed");

	snprintf(name, sizeof(name), "%s.json", row->name);
	if (!rc)
		rc = fs_mkdirs(dir);
	return rc ? rc : fs_join(ret, PATH_MAX, dir, name);
}

static int speed_save(const char *path, const struct figures *f)
{
	struct buf out;
	struct jsonw w;
	int rc;

	buf_init(&out, OUTPUT_MOST);
	jsonw_init(&w, &out, 1);
	jsonw_object(&w);
	cell_write_figures(f, &w);
	jsonw_end(&w, '}');
	rc = buf_check(&out, path);
	if (!rc)
		rc = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return rc;
}

static int speed_load(const struct table *t, struct row *row)
{
	char path[PATH_MAX];
	struct json *j;
	int rc = speed_path(t, row, path);

	if (rc || !fs_exists(path))
		return rc;
	rc = json_load(path, OUTPUT_MOST, &j);
	if (rc)
		return rc;
	cell_read_figures(j, &row->speed);
	row->speed.done = true;
	json_free(j);
	return TT_OK;
}

static int measure_one(const struct table *t, const struct row *row)
{
	char path[PATH_MAX], dir[PATH_MAX], limit[32], batch[64], epochs[48];
	const char *set[12] = { limit,
				batch,
				epochs,
				"train.save_steps=1000000",
				"train.logging_steps=1000000",
				"train.seed=1",
				"compute.threads=1" };
	struct cell_recipe how = {
		.path = row->path, .dir = dir, .set = set, .n_set = 7, .epochs = PASSES
	};
	struct figures f;
	int rc = speed_path(t, row, path);

	if (rc || fs_exists(path))
		return rc;
	rc = fs_join(dir, sizeof(dir), t->home, "speed");
	snprintf(limit, sizeof(limit), "data.limit=%d", STEPS * BATCH);
	snprintf(batch, sizeof(batch), "train.per_device_train_batch_size=%d", BATCH);
	snprintf(epochs, sizeof(epochs), "train.num_train_epochs=%d", PASSES);
	for (size_t i = 0; i < COUNT(sooner); i++)
		for (int k = 0; k < 2 && !strcmp(sooner[i].method, row->method); k++)
			if (sooner[i].set[k])
				set[how.n_set++] = sooner[i].set[k];
	if (!rc)
		rc = cell_run_recipe(&how, &f);
	if (!rc && !f.done)
		rc = err_set(TT_INVALID, "%s: %s", row->name, f.why);
	if (rc)
		return rc;
	printf("%-20s %8.0f tokens a second, %.0f MiB\n", row->name, f.tokens / f.cpu,
	       f.rss / (1 << 20));
	fflush(stdout);
	return speed_save(path, &f);
}

/* One that cannot be measured is not the end of the others. */
static void measure(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (measure_one(t, &t->row[i]))
			fprintf(stderr, "table: %s: %s\n", t->row[i].name, err_text());
	}
}

/* ---- the table ---- */

static double mean(const double *x, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += x[i];
	return n ? sum / n : NAN;
}

/* Of a sample; of one there is none. */
static double deviation(const double *x, int n)
{
	const double at = mean(x, n);
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += (x[i] - at) * (x[i] - at);
	return n > 1 ? sqrt(sum / (n - 1)) : NAN;
}

static const struct row *head_of(const struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!strcmp(t->row[i].name, head_recipe))
			return &t->row[i];
	}
	return NULL;
}

/* Best first; without a run last. */
static int by_accuracy(const void *a, const void *b)
{
	const struct row *p = a, *q = b;
	const double x = p->n ? mean(p->test, p->n) : -1, y = q->n ? mean(q->test, q->n) : -1;

	return x != y ? (x < y) - (x > y) : strcmp(p->name, q->name);
}

static void print_share(struct buf *out, const double *x, int n)
{
	if (n > 1)
		buf_printf(out, " %.1f ± %.1f |", 100 * mean(x, n), 100 * deviation(x, n));
	else if (n)
		buf_printf(out, " %.1f |", 100 * *x);
	else
		buf_text(out, " - |");
}

static void print_row(struct buf *out, const struct row *row, double forward)
{
	const struct figures *f = &row->speed;

	buf_printf(out, "| `%s` | %s |", row->name, row->method);
	print_share(out, row->test, row->n);
	print_share(out, row->validation, row->n);
	buf_printf(out, " %d |", row->n);
	if (row->n)
		buf_printf(out, " %.0f | %.3f |", row->trainable,
			   100 * row->trainable / row->total);
	else
		buf_text(out, " - | - |");
	if (f->done)
		buf_printf(out, " %.0f | %.0f |", f->rss / (1 << 20), f->tokens / f->cpu);
	else
		buf_text(out, " - | - |");
	if (f->done && forward > 0)
		buf_printf(out, " %.2f |\n", f->cpu / forward - 1);
	else
		buf_text(out, " - |\n");
}

/* Is it behind the head, or no better than guessing? Its line then, and a failure where one is owed. */
static bool judge(const struct row *row, double head, const struct json *notes, struct buf *out)
{
	const char *note = json_text(json_get(notes, row->name));
	const double at = mean(row->test, row->n);
	bool good = true;

	if (!row->n)
		return true;
	if (at < GUESSING) {
		fprintf(stderr, "table: %s is no better than guessing: %.3f\n", row->name, at);
		good = false;
	}
	if (at < head && !note) {
		fprintf(stderr, "table: %s is behind the head, and notes.json does not say why\n",
			row->name);
		good = false;
	}
	if (at < head)
		buf_printf(out, "* `%s`: %s\n", row->name, note ? note : "");
	return good;
}

static void print_table(struct table *t, const struct json *notes, struct buf *out, bool *good)
{
	const struct row *h = head_of(t);
	const double head = mean(h->test, h->n);
	const double forward = h->speed.done ? h->speed.forward : 0;
	struct buf behind;
	char machine[160];

	buf_init(&behind, OUTPUT_MOST);
	cell_machine(machine, sizeof(machine));
	buf_printf(out,
		   "<!-- written by `make bench-methods`; see README.md -->\n\n%s\n\n"
		   "| recipe | method | test %% | validation %% | seeds | trained | %% of all | "
		   "peak MiB | tokens/s | over forward |\n"
		   "|---|---|---|---|---|---|---|---|---|---|\n",
		   machine);
	for (size_t i = 0; i < t->n; i++) {
		print_row(out, &t->row[i], forward);
		if (!judge(&t->row[i], head, notes, &behind))
			*good = false;
	}
	if (behind.size)
		buf_printf(out, "\nBehind the head:\n\n%s", behind.data);
	buf_done(&behind);
}

static void write_shares(struct jsonw *w, const char *key, const double *x, int n)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (int i = 0; i < n; i++)
		jsonw_real(w, x[i]);
	jsonw_end(w, ']');
}

static void write_row(struct jsonw *w, const struct row *row)
{
	jsonw_object(w);
	jsonw_key(w, "recipe");
	jsonw_text(w, row->name);
	jsonw_key(w, "method");
	jsonw_text(w, row->method);
	write_shares(w, "test", row->test, row->n);
	write_shares(w, "validation", row->validation, row->n);
	jsonw_key(w, "trainable_params");
	jsonw_real(w, row->n ? row->trainable : NAN);
	jsonw_key(w, "total_params");
	jsonw_real(w, row->n ? row->total : NAN);
	jsonw_key(w, "speed");
	jsonw_object(w);
	if (row->speed.done)
		cell_write_figures(&row->speed, w);
	jsonw_end(w, '}');
	jsonw_end(w, '}');
}

static void write_json(const struct table *t, struct buf *out)
{
	struct jsonw w;

	jsonw_init(&w, out, 1);
	jsonw_object(&w);
	jsonw_key(&w, "machine");
	cell_write_machine(&w);
	jsonw_key(&w, "rows");
	jsonw_array(&w);
	for (size_t i = 0; i < t->n; i++)
		write_row(&w, &t->row[i]);
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
	buf_char(out, '\n');
}

static int save(const struct table *t, const char *name, struct buf *out)
{
	char path[PATH_MAX];
	int rc = fs_join(path, sizeof(path), t->out, name);

	if (!rc)
		rc = buf_check(out, path);
	if (!rc)
		rc = fs_write_atomic(path, out->data, out->size);
	buf_done(out);
	return rc;
}

static int write_all(struct table *t)
{
	char path[PATH_MAX];
	struct json *notes = NULL;
	struct buf out;
	bool good = true;
	int rc = fs_join(path, sizeof(path), t->out, "notes.json");

	if (!rc)
		rc = json_load(path, OUTPUT_MOST, &notes);
	for (size_t i = 0; !rc && i < t->n; i++) {
		rc = gather(t, &t->row[i]);
		if (!rc)
			rc = speed_load(t, &t->row[i]);
	}
	if (rc)
		return rc;
	qsort(t->row, t->n, sizeof(*t->row), by_accuracy);
	buf_init(&out, OUTPUT_MOST);
	print_table(t, notes, &out, &good);
	json_free(notes);
	fputs(out.data ? out.data : "", stdout);
	rc = save(t, "table.md", &out);
	buf_init(&out, OUTPUT_MOST);
	write_json(t, &out);
	if (!rc)
		rc = save(t, "table.json", &out);
	else
		buf_done(&out);
	return rc || good ? rc : err_set(TT_INVALID, "a method does not do what it should");
}

/* ---- the program ---- */

static int usage(void)
{
	return err_set(TT_INVALID, "usage: table [train] [measure] [write] --trimtab FILE "
				   "--home DIR --out DIR [--seeds N] [--only TEXT]");
}

static int options(int argc, char **argv, struct table *t)
{
	const char *seeds = "5";
	const struct {
		const char *name, **to;
		bool *word;
	} known[] = { { "train", NULL, &t->train }, { "measure", NULL, &t->measure },
		      { "write", NULL, &t->write }, { "--trimtab", &t->trimtab, NULL },
		      { "--home", &t->home, NULL }, { "--out", &t->out, NULL },
		      { "--seeds", &seeds, NULL },  { "--only", &t->only, NULL } };

	for (int i = 1; i < argc; i++) {
		size_t k = 0;

		while (k < COUNT(known) && strcmp(argv[i], known[k].name) != 0)
			k++;
		if (k == COUNT(known) || (known[k].to && i + 1 == argc))
			return usage();
		if (known[k].word)
			*known[k].word = true;
		else
			*known[k].to = argv[++i];
	}
	t->seeds = atoi(seeds);
	if (!t->trimtab || !t->home || !t->out || t->seeds < 1 || t->seeds > SEEDS_MOST)
		return usage();
	if (!t->train && !t->measure && !t->write)
		t->train = t->measure = t->write = true;
	return TT_OK;
}

int main(int argc, char **argv)
{
	static struct table t;
	int rc;

	cell_main(argc, argv);
	rc = options(argc, argv, &t);
	if (!rc && setenv("TRIMTAB_HOME", t.home, 1))
		rc = err_set(TT_NOMEM, "no memory to name the data home");
	if (!rc)
		rc = list_recipes(&t);
	if (!rc && t.train)
		rc = train(&t);
	if (!rc && t.measure)
		measure(&t);
	if (!rc && t.write)
		rc = write_all(&t);
	if (rc)
		fprintf(stderr, "table: %s\n", err_text());
	return rc ? 1 : 0;
}
