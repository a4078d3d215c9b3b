/*
 * What does a method cost beside the frozen model? Each trains in a process of its
 * own, and all of a group take turns, a few steps each (bench/side.h): what backward
 * costs when it goes all the way and nothing but the head trains, LoRA, and some
 * others. What counts is the median of the ratios of passes that followed each
 * other. Usage:
 *
 *     bench/overhead [--full] [--data DIR] [--vocab FILE] [--only TEXT] [--json FILE]
 *                    [--lock FILE]
 *
 * --full: every method; else those that have a limit, which others must not exceed.
 * TEXT picks cells whose line holds it, such as "bert-base/rte 2". Other options are
 * those of step and peer. "cpu" is the ratio of processor times, which hardly
 * changes on a machine that does other work.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "bench/cell.h"
#include "bench/side.h"

/* What is measured: steps a pass, passes. */
static const struct set {
	int shape, lengths, steps, passes;
} sets[] = {
	{ SHAPE_MINILM, LENGTHS_SST2, 3, 5 },
	{ SHAPE_MINILM, LENGTHS_RTE, 2, 5 },
	{ SHAPE_BASE, LENGTHS_SST2, 1, 3 },
	{ SHAPE_BASE, LENGTHS_RTE, 1, 3 },
};

enum { FLOOR, LORA, OTHERS, MOST = OTHERS + 3 }; /* MOST: how many live at once */

/*
 * The floor's one rank in the lowest layer costs next to nothing; it is there so
 * that backward goes as far down as it does for the others.
 */
static const struct way {
	const char *name, *peft;
	int against; /* FLOOR or LORA */
	double limit;
} ways[] = {
	[FLOOR] = { "frozen",
		    "{\"method\": \"lora\", \"r\": 1, \"target_modules\": [\"query\"], "
		    "\"layers_to_transform\": 0}",
		    FLOOR, 0 },
	[LORA] = { "lora", "{\"method\": \"lora\", \"r\": 8}", FLOOR, 1.15 },
	{ "dora", "{\"method\": \"dora\", \"r\": 8}", LORA, 1.4 },
	{ "adalora", "{\"method\": \"adalora\"}", LORA, 1.25 },
	{ "prefix", "{\"method\": \"prefix\", \"num_virtual_tokens\": 20}", LORA, 1.15 },
	{ "lora, all", "{\"method\": \"lora\", \"r\": 8, \"target_modules\": \"all-linear\"}", LORA,
	  0 },
	{ "dora, all", "{\"method\": \"dora\", \"r\": 8, \"target_modules\": \"all-linear\"}", LORA,
	  0 },
	{ "lora_fa", "{\"method\": \"lora_fa\", \"r\": 8}", LORA, 0 },
	{ "delta_lora", "{\"method\": \"delta_lora\", \"r\": 8, \"start_steps\": 0}", LORA, 0 },
	{ "vera", "{\"method\": \"vera\"}", LORA, 0 },
	{ "ia3", "{\"method\": \"ia3\"}", LORA, 0 },
	{ "bitfit", "{\"method\": \"bitfit\"}", LORA, 0 },
	{ "adapter", "{\"method\": \"adapter\"}", LORA, 0 },
	{ "prompt", "{\"method\": \"prompt\", \"num_virtual_tokens\": 20}", LORA, 0 },
	{ "p_tuning", "{\"method\": \"p_tuning\", \"num_virtual_tokens\": 20}", LORA, 0 },
	{ "p_tuning_v2", "{\"method\": \"p_tuning_v2\", \"num_virtual_tokens\": 20}", LORA, 0 },
	{ "full", "{\"method\": \"full\"}", LORA, 0 },
};

struct bench {
	const char *data, *vocab, *only, *json, *lock;
	bool full;
	char self[PATH_MAX], dir[PATH_MAX], model[PATH_MAX], rows[PATH_MAX];
	bool made[SHAPES];
	struct buf text;
	struct jsonw out;
};

/* ---- what came of it ---- */

struct times {
	double floor, lora;         /* a pass by the clock, divided by another's */
	double floor_cpu, lora_cpu; /* the same of processor time */
};

static struct times compare(const struct side *s, int k, int passes)
{
	return (struct times){
		.floor = side_ratio(s[k].pass, s[FLOOR].pass, passes),
		.lora = side_ratio(s[k].pass, s[LORA].pass, passes),
		.floor_cpu = side_ratio(s[k].cpu, s[FLOOR].cpu, passes),
		.lora_cpu = side_ratio(s[k].cpu, s[LORA].cpu, passes),
	};
}

static void print_head(void)
{
	printf("%-13s %-6s %2s %-11s | %8s %8s | %7s %6s | %7s %6s | %s\n", "shape", "data", "th",
	       "method", "step ms", "cpu ms", "/frozen", "cpu", "/lora", "cpu", "limit");
}

static void print_row(const struct cell *c, const struct way *w, const struct side *s,
		      const struct times *t, int passes)
{
	const double ms = 1e3 / c->steps, held = w->against == FLOOR ? t->floor : t->lora;

	printf("%-13s %-6s %2d %-11s | %8.1f %8.1f | %7.3f %6.3f | %7.3f %6.3f |", c->shape->name,
	       c->lengths->name, c->threads, w->name, ms * side_median(s->pass, passes),
	       ms * side_median(s->cpu, passes), t->floor, t->floor_cpu, t->lora, t->lora_cpu);
	if (w->limit > 0)
		printf(" %.2f of %s: %s", w->limit, ways[w->against].name,
		       held <= w->limit ? "held" : "EXCEEDED");
	putchar('\n');
	fflush(stdout);
}

static void key_real(struct jsonw *w, const char *key, double value)
{
	jsonw_key(w, key);
	jsonw_real(w, value);
}

static void key_text(struct jsonw *w, const char *key, const char *value)
{
	jsonw_key(w, key);
	jsonw_text(w, value);
}

static void key_list(struct jsonw *w, const char *key, const double *value, int n)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (int i = 0; i < n; i++)
		jsonw_real(w, value[i]);
	jsonw_end(w, ']');
}

static void write_row(struct jsonw *w, const struct cell *c, const struct way *way,
		      const struct side *s, const struct times *t, int passes)
{
	jsonw_object(w);
	key_text(w, "shape", c->shape->name);
	key_text(w, "data", c->lengths->name);
	key_text(w, "method", way->name);
	key_text(w, "precision", c->precision);
	key_real(w, "threads", c->threads);
	key_real(w, "batch", c->lengths->batch);
	key_real(w, "steps", c->steps);
	key_real(w, "tokens", s->tokens);
	key_real(w, "trainable", s->trainable);
	key_real(w, "peak_bytes", s->peak);
	key_list(w, "pass_seconds", s->pass, passes);
	key_list(w, "cpu_seconds", s->cpu, passes);
	key_real(w, "by_frozen", t->floor);
	key_real(w, "by_frozen_cpu", t->floor_cpu);
	key_real(w, "by_lora", t->lora);
	key_real(w, "by_lora_cpu", t->lora_cpu);
	if (way->limit > 0) {
		key_text(w, "limit_by", ways[way->against].name);
		key_real(w, "limit", way->limit);
	}
	jsonw_end(w, '}');
}

/* ---- one group: the floor, LoRA and others ---- */

static int open_side(const struct bench *b, struct cell *c, const struct way *w, struct side *ret)
{
	char recipe[PATH_MAX];
	char *const argv[] = { (char *)b->self, (char[]){ "--paced" }, recipe, NULL };
	int rc = fs_join(recipe, sizeof(recipe), b->dir, "recipe.json");

	c->peft = w->peft;
	if (!rc)
		rc = cell_save(c, recipe);
	return rc ? rc : side_open(argv, w->name, ret);
}

/* Ways from `first` to before `last` beside the first two. */
static int run_group(const struct bench *b, const struct set *set, struct cell *c, int first,
		     int last, struct side *s)
{
	const int n = last - first + OTHERS;
	int held, rc = side_lock(b->lock, &held);

	for (int k = 0; !rc && k < n; k++)
		rc = open_side(b, c, &ways[k < OTHERS ? k : first + k - OTHERS], &s[k]);
	if (!rc)
		rc = side_take_turns(s, n, set->passes);
	for (int k = 0; k < n; k++)
		side_close(&s[k]);
	if (held >= 0)
		close(held);
	return rc;
}

static int measure_group(struct bench *b, const struct set *set, struct cell *c, int first,
			 int last)
{
	struct side s[MOST] = { { 0 } };
	const int rc = run_group(b, set, c, first, last, s);

	if (rc)
		return err_in("%s/%s", c->shape->name, c->lengths->name);
	for (int k = first == OTHERS ? FLOOR : OTHERS; k < last - first + OTHERS; k++) {
		const struct way *w = &ways[k < OTHERS ? k : first + k - OTHERS];
		const struct times t = compare(s, k, set->passes);

		print_row(c, w, &s[k], &t, set->passes);
		write_row(&b->out, c, w, &s[k], &t, set->passes);
	}
	return TT_OK;
}

/* ---- all of them ---- */

static int prepare(struct bench *b, const struct set *set, struct cell *c)
{
	int rc = fs_join(b->model, sizeof(b->model), b->dir, c->shape->name);

	if (!rc && !b->made[set->shape])
		rc = folder_bert(b->model, c->shape, b->vocab);
	b->made[set->shape] = !rc;
	if (!rc)
		rc = folder_data(b->dir, c->lengths, b->data, c->lengths->batch * c->steps,
				 b->rows);
	c->model = b->model;
	c->data = b->rows;
	return rc;
}

static int measure(struct bench *b, const struct set *set, struct cell *c)
{
	char line[128];
	int rc, end = (int)COUNT(ways);

	snprintf(line, sizeof(line), "%s/%s %d", c->shape->name, c->lengths->name, c->threads);
	if (b->only && !strstr(line, b->only))
		return TT_OK;
	rc = prepare(b, set, c);
	for (int k = OTHERS; !b->full && k < end; k++)
		if (!(ways[k].limit > 0))
			end = k;
	for (int first = OTHERS; !rc && first < end; first += MOST - OTHERS)
		rc = measure_group(b, set, c, first,
				   first + MOST - OTHERS < end ? first + MOST - OTHERS : end);
	return rc;
}

static int measure_all(struct bench *b)
{
	for (size_t i = 0; i < COUNT(sets); i++)
		for (int threads = 1; threads <= 2; threads++) {
			struct cell c = { .shape = &folder_shapes[sets[i].shape],
					  .lengths = &folder_lengths[sets[i].lengths],
					  .precision = "fp32",
					  .threads = threads,
					  .steps = sets[i].steps,
					  .epochs = 1000 };
			const int rc = measure(b, &sets[i], &c);

			if (rc)
				return rc;
		}
	return TT_OK;
}

static int run(struct bench *b)
{
	int rc;

	setenv("TRIMTAB_HOME", b->dir, 1); /* the first times the backends, for all */
	buf_init(&b->text, 1 << 24);
	jsonw_init(&b->out, &b->text, 1);
	jsonw_object(&b->out);
	jsonw_key(&b->out, "machine");
	cell_write_machine(&b->out);
	jsonw_key(&b->out, "cells");
	jsonw_array(&b->out);
	cell_print_machine();
	print_head();
	rc = measure_all(b);
	jsonw_end(&b->out, ']');
	jsonw_end(&b->out, '}');
	if (!rc && b->json)
		rc = fs_write_atomic(b->json, b->text.data, b->text.size);
	buf_done(&b->text);
	return rc;
}

static int options(int argc, char **argv, struct bench *b)
{
	const struct {
		const char *name;
		const char **to;
	} with[] = { { "--data", &b->data },
		     { "--vocab", &b->vocab },
		     { "--only", &b->only },
		     { "--json", &b->json },
		     { "--lock", &b->lock } };
	const ssize_t n = readlink("/proc/self/exe", b->self, sizeof(b->self) - 1);

	for (int i = 1; i < argc; i++) {
		size_t k = 0;

		if (!strcmp(argv[i], "--full")) {
			b->full = true;
			continue;
		}
		while (k < COUNT(with) && strcmp(argv[i], with[k].name))
			k++;
		if (k == COUNT(with) || i + 1 == argc)
			return err_set(TT_INVALID,
				       "usage: overhead [--full] [--data DIR] [--vocab FILE] "
				       "[--only TEXT] [--json FILE] [--lock FILE]");
		*with[k].to = argv[++i];
	}
	return n > 0 ? TT_OK : err_set(TT_IO, "cannot find this program");
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	static struct bench b;
	int rc;

	cell_paced_main(argc, argv);
	rc = options(argc, argv, &b);
	snprintf(b.dir, sizeof(b.dir), "%s/trimtab-overhead-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!rc && !mkdtemp(b.dir))
		rc = err_set(TT_IO, "cannot make the folder %s", b.dir);
	if (!rc) {
		rc = run(&b);
		fs_remove_tree(b.dir);
	}
	if (rc)
		fprintf(stderr, "overhead: %s\n", err_text());
	return rc ? 1 : 0;
}
