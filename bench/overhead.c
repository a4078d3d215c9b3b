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
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "bench/cells.h"
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

static void write_row(struct jsonw *w, const struct cell *c, const struct way *way,
		      const struct side *s, const struct times *t, int passes)
{
	jsonw_object(w);
	cells_write_cell(w, c, way->name);
	cells_real(w, "tokens", s->tokens);
	cells_real(w, "trainable", s->trainable);
	cells_real(w, "peak_bytes", s->peak);
	cells_list(w, "pass_seconds", s->pass, passes);
	cells_list(w, "cpu_seconds", s->cpu, passes);
	cells_real(w, "by_frozen", t->floor);
	cells_real(w, "by_frozen_cpu", t->floor_cpu);
	cells_real(w, "by_lora", t->lora);
	cells_real(w, "by_lora_cpu", t->lora_cpu);
	if (way->limit > 0) {
		cells_text(w, "limit_by", ways[way->against].name);
		cells_real(w, "limit", way->limit);
	}
	jsonw_end(w, '}');
}

/* ---- one group: the floor, LoRA and others ---- */

static int open_side(const struct cells *b, struct cell *c, const struct way *w, struct side *ret)
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
static int run_group(const struct cells *b, const struct set *set, struct cell *c, int first,
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

static int measure_group(struct cells *b, const struct set *set, struct cell *c, int first,
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

static int measure(struct cells *b, const struct set *set, struct cell *c)
{
	char line[128];
	int rc, end = (int)COUNT(ways);

	snprintf(line, sizeof(line), "%s/%s %d", c->shape->name, c->lengths->name, c->threads);
	if (!cells_wants(b, line))
		return TT_OK;
	rc = cells_prepare(b, set->shape, c);
	for (int k = OTHERS; !b->full && k < end; k++)
		if (!(ways[k].limit > 0))
			end = k;
	for (int first = OTHERS; !rc && first < end; first += MOST - OTHERS)
		rc = measure_group(b, set, c, first,
				   first + MOST - OTHERS < end ? first + MOST - OTHERS : end);
	return rc;
}

static int measure_all(struct cells *b)
{
	print_head();
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

int main(int argc, char **argv)
{
	static struct cells b = { .name = "overhead", .measure = measure_all };

	cell_paced_main(argc, argv);
	return cells_main(&b, CELLS_FULL | CELLS_LOCK, argc, argv);
}
