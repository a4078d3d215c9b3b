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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "bench/cell.h"
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

struct bench {
	const char *python, *script, *data, *vocab, *only, *json, *lock;
	char self[PATH_MAX], dir[PATH_MAX], model[PATH_MAX], rows[PATH_MAX], recipe[PATH_MAX];
	bool made[SHAPES];
	struct buf text;
	struct jsonw out;
};

/* ---- one cell ---- */

static int open_ours(struct bench *b, struct side *ret)
{
	char *argv[] = { b->self, (char[]){ "--paced" }, b->recipe, NULL };

	return side_open(argv, "trimtab's side", ret);
}

static int open_peer(const struct bench *b, const struct cell *c, struct side *ret)
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

static int cell_both(struct bench *b, const struct cell *c, int pairs, struct side *s)
{
	int rc = cell_save(c, b->recipe);

	if (!rc)
		rc = open_ours(b, &s[OURS]);
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

static void write_side(struct jsonw *w, const struct side *s, int pairs)
{
	jsonw_object(w);
	key_real(w, "start_seconds", s->start);
	key_real(w, "peak_bytes", s->peak);
	if (s->estimate > 0)
		key_real(w, "estimate_bytes", s->estimate);
	key_real(w, "first_pass_seconds", s->first);
	jsonw_key(w, "pass_seconds");
	jsonw_array(w);
	for (int i = 0; i < pairs; i++)
		jsonw_real(w, s->pass[i]);
	jsonw_end(w, ']');
	jsonw_end(w, '}');
}

static void write_row(struct jsonw *w, const struct cell *c, const struct side *s, int pairs)
{
	jsonw_object(w);
	key_text(w, "shape", c->shape->name);
	key_text(w, "data", c->lengths->name);
	key_text(w, "method", c->method);
	key_text(w, "precision", c->precision);
	key_real(w, "threads", c->threads);
	key_real(w, "batch", c->lengths->batch);
	key_real(w, "steps", c->steps);
	key_real(w, "tokens", s[OURS].tokens);
	key_real(w, "trainable", s[OURS].trainable);
	key_real(w, "ratio", ratio_wall(s, pairs));
	key_real(w, "cpu_ratio", ratio_cpu(s, pairs));
	jsonw_key(w, "trimtab");
	write_side(w, &s[OURS], pairs);
	jsonw_key(w, "peer");
	write_side(w, &s[PEER], pairs);
	jsonw_end(w, '}');
}

/* ---- all of them ---- */

static int prepare(struct bench *b, const struct set *set, const struct cell *c)
{
	int rc = fs_join(b->model, sizeof(b->model), b->dir, c->shape->name);

	if (!rc && !b->made[set->shape])
		rc = folder_bert(b->model, c->shape, b->vocab);
	b->made[set->shape] = !rc;
	if (!rc)
		rc = folder_data(b->dir, c->lengths, b->data, c->lengths->batch * c->steps,
				 b->rows);
	return rc ? rc : fs_join(b->recipe, sizeof(b->recipe), b->dir, "recipe.json");
}

static int measure(struct bench *b, const struct set *set, struct cell *c)
{
	struct side s[SIDES] = { { 0 }, { 0 } };
	char line[128];
	int held, rc;

	snprintf(line, sizeof(line), "%s/%s %s %s %d", c->shape->name, c->lengths->name, c->method,
		 c->precision, c->threads);
	if (b->only && !strstr(line, b->only))
		return TT_OK;
	rc = prepare(b, set, c);
	if (rc)
		return rc;
	c->model = b->model;
	c->data = b->rows;
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

static int measure_all(struct bench *b)
{
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

static int run(struct bench *b)
{
	int rc;

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
	} with[] = { { "--python", &b->python }, { "--script", &b->script }, { "--data", &b->data },
		     { "--vocab", &b->vocab },   { "--only", &b->only },     { "--json", &b->json },
		     { "--lock", &b->lock } };
	const ssize_t n = readlink("/proc/self/exe", b->self, sizeof(b->self) - 1);
	size_t k;

	for (int i = 1; i < argc; i++) {
		for (k = 0; k < COUNT(with) && strcmp(argv[i], with[k].name);)
			k++;
		if (k == COUNT(with) || i + 1 == argc)
			return err_set(TT_INVALID, "'%s' is no option, or lacks its value",
				       argv[i]);
		*with[k].to = argv[++i];
	}
	if (!b->python || !b->script)
		return err_set(
			TT_INVALID,
			"usage: peer --python FILE --script FILE [--data DIR] [--vocab FILE] "
			"[--only TEXT] [--json FILE] [--lock FILE]");
	return n > 0 ? TT_OK : err_set(TT_IO, "cannot find this program");
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	static struct bench b;
	int rc;

	cell_paced_main(argc, argv);
	rc = options(argc, argv, &b);
	snprintf(b.dir, sizeof(b.dir), "%s/trimtab-peer-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!rc && !mkdtemp(b.dir))
		rc = err_set(TT_IO, "cannot make the folder %s", b.dir);
	if (!rc) {
		rc = run(&b);
		fs_remove_tree(b.dir);
	}
	if (rc)
		fprintf(stderr, "peer: %s\n", err_text());
	return rc ? 1 : 0;
}
