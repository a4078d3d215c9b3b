/*
 * How does the time of a step grow? One sequence of 512 tokens through a BERT of
 * 6 layers, 384 wide, with LoRA of r 8, on one thread; then one thing at a time
 * changes. "ms more" is the slope since the point before: a straight line has the
 * same everywhere. Attention bends the line of tokens upwards, but not that of the
 * memory they take; the last layer is nearly free, since it runs for one row
 * alone, so a line of layers misses zero.
 * Usage: bench/growth [--json FILE]
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "bench/cell.h"

enum { STEPS = 2, EPOCHS = 4, POSITIONS = 512 };

static const struct point {
	const char *what; /* what changes */
	int unit;         /* its value */
	int tokens, layers, r, batch;
} points[] = {
	{ "tokens", 64, 64, 6, 8, 1 },     { "tokens", 128, 128, 6, 8, 1 },
	{ "tokens", 256, 256, 6, 8, 1 },   { "tokens", 512, 512, 6, 8, 1 },
	{ "tokens", 1024, 1024, 6, 8, 1 }, { "tokens", 2048, 2048, 6, 8, 1 },
	{ "tokens", 4096, 4096, 6, 8, 1 }, { "layers", 3, 512, 3, 8, 1 },
	{ "layers", 6, 512, 6, 8, 1 },     { "layers", 12, 512, 12, 8, 1 },
	{ "r", 2, 512, 6, 2, 1 },          { "r", 8, 512, 6, 8, 1 },
	{ "r", 32, 512, 6, 32, 1 },        { "r", 128, 512, 6, 128, 1 },
	{ "batch", 1, 128, 6, 8, 1 },      { "batch", 2, 128, 6, 8, 2 },
	{ "batch", 4, 128, 6, 8, 4 },      { "batch", 8, 128, 6, 8, 8 },
	{ "batch", 16, 128, 6, 8, 16 },
};

/* before, before_ms: the point above, when it belongs to the same line; else NULL. */
static void print_point(const struct point *p, const struct figures *f, const struct point *before,
			double before_ms)
{
	const double ms = 1e3 * f->wall / f->steps, cpu = 1e3 * f->cpu / f->steps;

	printf("%-7s %5d | %2d x %4d tokens %2d layers r %3d | %8.1f %8.1f", p->what, p->unit,
	       p->batch, p->tokens, p->layers, p->r, ms, cpu);
	if (before)
		printf(" %9.3f", (cpu - before_ms) / (p->unit - before->unit));
	else
		printf(" %9s", "");
	printf(" %9.0f %5.0f%% %7.0f\n", f->tokens / f->cpu, 100 * cell_mfu_cpu(f, 1),
	       f->rss / (1 << 20));
}

static int measure(const char *dir, const struct point *p, struct jsonw *w, struct figures *ret)
{
	char name[32], model[PATH_MAX], data[PATH_MAX];
	const bool far = p->tokens > POSITIONS; /* takes long enough to be measured once */
	const struct shape shape = { name, p->layers, 384, 12, 1536, far ? p->tokens : 0 };
	const struct lengths rows = { .name = "rows",
				      .batch = p->batch,
				      .max_length = p->tokens,
				      .labels = { "no", "yes" },
				      .constant = p->tokens };
	struct cell c = { .shape = &shape,
			  .lengths = &rows,
			  .method = "lora",
			  .precision = "fp32",
			  .threads = 1,
			  .r = p->r,
			  .steps = far ? 1 : STEPS,
			  .epochs = far ? 2 : EPOCHS };
	int rc;

	snprintf(name, sizeof(name), "%dx384-%d", p->layers, far ? p->tokens : POSITIONS);
	rc = fs_join(model, sizeof(model), dir, name);
	if (!rc && !fs_exists(model))
		rc = folder_bert(model, &shape, NULL);
	if (!rc)
		rc = folder_data(dir, &rows, NULL, p->batch * c.steps, data);
	c.model = model;
	c.data = data;
	if (!rc)
		rc = cell_run(dir, &c, ret);
	if (!rc && !ret->done)
		rc = err_set(TT_INVALID, "%s", ret->why);
	if (!rc)
		cell_write(&c, ret, w);
	return rc;
}

static int measure_all(const char *dir, struct jsonw *w)
{
	double last_ms = 0;

	for (size_t i = 0; i < COUNT(points); i++) {
		const bool on = i > 0 && !strcmp(points[i].what, points[i - 1].what);
		struct figures f;
		const int rc = measure(dir, &points[i], w, &f);

		if (rc)
			return rc;
		print_point(&points[i], &f, on ? &points[i - 1] : NULL, last_ms);
		fflush(stdout);
		last_ms = 1e3 * f.cpu / f.steps;
	}
	return TT_OK;
}

static int run(const char *dir, const char *json)
{
	struct buf text;
	struct jsonw w;
	int rc;

	buf_init(&text, 1 << 24);
	jsonw_init(&w, &text, 1);
	jsonw_object(&w);
	jsonw_key(&w, "machine");
	cell_write_machine(&w);
	jsonw_key(&w, "cells");
	jsonw_array(&w);
	cell_print_machine();
	printf("%-7s %5s | %36s | %8s %8s %9s %9s %6s %7s\n", "changes", "", "", "step ms",
	       "cpu ms", "ms more", "tok/cpu s", "MFU", "MiB");
	rc = measure_all(dir, &w);
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
	if (!rc && json)
		rc = fs_write_atomic(json, text.data, text.size);
	buf_done(&text);
	return rc;
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char dir[256];
	int rc;

	cell_main(argc, argv);
	if (argc != 1 && (argc != 3 || strcmp(argv[1], "--json"))) {
		fprintf(stderr, "usage: growth [--json FILE]\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%.200s/trimtab-growth-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	rc = run(dir, argc == 3 ? argv[2] : NULL);
	fs_remove_tree(dir);
	if (rc)
		fprintf(stderr, "growth: %s\n", err_text());
	return rc ? 1 : 0;
}
