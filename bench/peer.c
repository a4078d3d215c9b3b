/*
 * trimtab beside PyTorch and PEFT: the same weights, rows, batches and order, in
 * one run. Usage:
 *
 *     bench/peer --python FILE --script peer.py [--data DIR] [--vocab FILE]
 *                [--only TEXT] [--json FILE] [--lock FILE]
 *
 * Both sides of a cell live at once and take turns, a pass over the same few steps
 * each: the first is a warm-up, and each of the others is a pair, whose ratio
 * counts; of the ratios the median (bench/side.h). Memory is the kernel's VmHWM
 * after the last pass. Tokens are real ones: padding is none.
 * "cpu" is the ratio of processor times, which on one thread hardly changes on a
 * machine that does other work; on two the peer's include waiting.
 * --lock: a file to hold a lock on while a cell is measured, for others that share
 * the machine and wait for it.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "bench/cells.h"
#include "bench/side.h"

/* What is measured: steps a pass, pairs of passes. */
static const struct set {
	int shape, lengths, steps, pairs;
} sets[] = {
	{ SHAPE_MINILM, LENGTHS_SST2, 4, 3 },
	{ SHAPE_BASE, LENGTHS_RTE, 2, 2 },
	{ SHAPE_BASE, LENGTHS_BOOLQ, 2, 2 },
};

static const struct way {
	const char *method, *precision;
} ways[] = {
	{ "lora", "fp32" }, { "lora", "bf16" },   { "full", "fp32" },
	{ "head", "fp32" }, { "bitfit", "fp32" },
};

enum { OURS, PEER, SIDES };

/* ---- one cell ---- */

static int open_ours(struct cells *b, const struct cell *c, struct side *ret)
{
	char recipe[PATH_MAX];
	char *argv[] = { b->self, (char[]){ "--paced" }, recipe, NULL };
	int rc = fs_join(recipe, sizeof(recipe), b->dir, "recipe.json");

	if (!rc)
		rc = cell_save(c, recipe);
	return rc ? rc : side_open(argv, "trimtab's side", ret);
}

static int open_peer(const struct cells *b, const struct cell *c, struct side *ret)
{
	char number[4][16];
	const int value[] = { c->threads, c->steps, c->lengths->batch, c->lengths->max_length };
	const char *argv[] = { b->python,
			       b->script,
			       c->model,
			       c->data,
			       c->method,
			       c->precision,
			       number[0],
			       number[1],
			       number[2],
			       number[3],
			       c->lengths->labels[0],
			       c->lengths->labels[1],
			       NULL };

	for (size_t i = 0; i < COUNT(value); i++)
		snprintf(number[i], sizeof(number[i]), "%d", value[i]);
	return side_open((char *const *)argv, "the peer's side", ret);
}

/* Both must have read the same rows and train the same parameters, or the times mean nothing. */
static int agree(const struct side *s)
{
	if (s[OURS].tokens == s[PEER].tokens && s[OURS].trainable == s[PEER].trainable)
		return TT_OK;
	return err_set(TT_INVALID,
		       "the two sides differ: trimtab has %.0f tokens and trains %.0f numbers, the "
		       "peer has %.0f and trains %.0f",
		       s[OURS].tokens, s[OURS].trainable, s[PEER].tokens, s[PEER].trainable);
}

static int cell_both(struct cells *b, const struct cell *c, int pairs, struct side *s)
{
	int rc = open_ours(b, c, &s[OURS]);

	if (!rc)
		rc = open_peer(b, c, &s[PEER]);
	if (!rc)
		rc = agree(s);
	if (!rc)
		rc = side_take_turns(s, SIDES, pairs);
	side_close(&s[OURS]);
	side_close(&s[PEER]);
	return rc;
}

/* ---- what came of it ---- */

/* Of what the peer took to what we took, pair by pair. */
static double ratio_wall(const struct side *s, int pairs)
{
	return side_ratio(s[PEER].pass, s[OURS].pass, pairs);
}

static double ratio_cpu(const struct side *s, int pairs)
{
	return side_ratio(s[PEER].cpu, s[OURS].cpu, pairs);
}

static void print_head(void)
{
	printf("%-13s %-6s %-7s %-5s %2s | %9s %9s %7s %7s | %8s %8s %6s %8s | %7s %7s\n", "shape",
	       "data", "method", "type", "th", "tokens/s", "peer", "ratio", "cpu", "MiB", "peer",
	       "share", "est/peak", "start", "peer");
}

static void print_line(const struct cell *c, const struct side *s, const char *method,
		       const double *seconds, double times)
{
	printf("%-13s %-6s %-7s %-5s %2d | %9.0f %9.0f %6.2fx", c->shape->name, c->lengths->name,
	       method, c->precision, c->threads, s[OURS].tokens / seconds[OURS],
	       s[PEER].tokens / seconds[PEER], times);
}

static void print_row(const struct cell *c, const struct side *s, int pairs)
{
	const double first[SIDES] = { s[OURS].first, s[PEER].first };
	const double pass[SIDES] = { side_median(s[OURS].pass, pairs),
				     side_median(s[PEER].pass, pairs) };

	if (!strcmp(c->method, "head")) { /* what it computes there is kept for later passes */
		print_line(c, s, "head, 1", first, first[PEER] / first[OURS]);
		printf("         | the first epoch alone\n");
	}
	print_line(c, s, c->method, pass, ratio_wall(s, pairs));
	printf(" %6.2fx | %8.0f %8.0f %6.2f %8.2f | %6.2fs %6.2fs\n", ratio_cpu(s, pairs),
	       s[OURS].peak / (1 << 20), s[PEER].peak / (1 << 20), s[OURS].peak / s[PEER].peak,
	       s[OURS].estimate / s[OURS].peak, s[OURS].start, s[PEER].start);
	fflush(stdout);
}

static void write_side(struct jsonw *w, const struct side *s, int pairs)
{
	jsonw_object(w);
	cells_real(w, "start_seconds", s->start);
	cells_real(w, "peak_bytes", s->peak);
	if (s->estimate > 0)
		cells_real(w, "estimate_bytes", s->estimate);
	cells_real(w, "first_pass_seconds", s->first);
	cells_list(w, "pass_seconds", s->pass, pairs);
	jsonw_end(w, '}');
}

static void write_row(struct jsonw *w, const struct cell *c, const struct side *s, int pairs)
{
	jsonw_object(w);
	cells_write_cell(w, c, c->method);
	cells_real(w, "tokens", s[OURS].tokens);
	cells_real(w, "trainable", s[OURS].trainable);
	cells_real(w, "ratio", ratio_wall(s, pairs));
	cells_real(w, "cpu_ratio", ratio_cpu(s, pairs));
	jsonw_key(w, "trimtab");
	write_side(w, &s[OURS], pairs);
	jsonw_key(w, "peer");
	write_side(w, &s[PEER], pairs);
	jsonw_end(w, '}');
}

/* ---- all of them ---- */

static int measure(struct cells *b, const struct set *set, struct cell *c)
{
	struct side s[SIDES] = { { 0 }, { 0 } };
	char line[128];
	int held, rc;

	snprintf(line, sizeof(line), "%s/%s %s %s %d", c->shape->name, c->lengths->name, c->method,
		 c->precision, c->threads);
	if (!cells_wants(b, line))
		return TT_OK;
	rc = cells_prepare(b, set->shape, c);
	if (rc)
		return rc;
	rc = side_lock(b->lock, &held);
	if (!rc)
		rc = cell_both(b, c, set->pairs, s);
	if (held >= 0)
		close(held);
	if (rc)
		return err_in("%s", line);
	print_row(c, s, set->pairs);
	write_row(&b->out, c, s, set->pairs);
	return TT_OK;
}

static int measure_all(struct cells *b)
{
	print_head();
	for (size_t i = 0; i < COUNT(sets); i++)
		for (size_t m = 0; m < COUNT(ways); m++)
			for (int threads = 1; threads <= 2; threads++) {
				struct cell c = { .shape = &folder_shapes[sets[i].shape],
						  .lengths = &folder_lengths[sets[i].lengths],
						  .method = ways[m].method,
						  .precision = ways[m].precision,
						  .threads = threads,
						  .r = 8,
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
	static struct cells b = { .name = "peer", .measure = measure_all };

	cell_paced_main(argc, argv);
	return cells_main(&b, CELLS_LOCK | CELLS_PEER, argc, argv);
}
