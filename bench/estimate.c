/*
 * What `trimtab estimate` says beside what runs hold: most resident memory over two
 * epochs of a few steps, by shape, lengths, batch, method, precision and threads.
 * Usage:
 *
 *     bench/estimate [--data DIR] [--vocab FILE] [--only TEXT]
 *
 * DIR holds data sets, as for bench/step. TEXT picks cells whose line holds it, such
 * as "bert-base/rte 16 lora". The last line is the widest miss on each side.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "bench/cell.h"

static const struct place {
	int shape, lengths, batch, steps;
} places[] = {
	{ SHAPE_MINILM, LENGTHS_SST2, 1, 4 }, { SHAPE_MINILM, LENGTHS_SST2, 32, 3 },
	{ SHAPE_BASE, LENGTHS_RTE, 1, 3 },    { SHAPE_BASE, LENGTHS_RTE, 16, 2 },
	{ SHAPE_BASE, LENGTHS_BOOLQ, 8, 2 },
};

static const char *const methods[] = { "lora", "full", "head", "bitfit" };
static const char *const precisions[] = { "fp32", "bf16" };

struct bench {
	const char *data, *vocab, *only;
	char dir[PATH_MAX], model[PATH_MAX], rows[PATH_MAX];
	bool made[SHAPES];
	double least, most; /* estimate over peak */
};

static int prepare(struct bench *b, const struct place *p, const struct cell *c)
{
	int rc = fs_join(b->model, sizeof(b->model), b->dir, c->shape->name);

	if (!rc && !b->made[p->shape])
		rc = folder_bert(b->model, c->shape, b->vocab);
	b->made[p->shape] = !rc;
	if (!rc)
		rc = folder_data(b->dir, c->lengths, b->data, c->lengths->batch * c->steps,
				 b->rows);
	return rc;
}

static void print_row(struct bench *b, const char *line, const struct figures *f)
{
	const double times = f->estimate / f->rss;

	if (!f->done) {
		printf("%-44s %s\n", line, f->why);
		return;
	}
	printf("%-44s %8.0f %8.0f %7.3f\n", line, f->rss / (1 << 20), f->estimate / (1 << 20),
	       times);
	fflush(stdout);
	b->least = fmin(b->least, times);
	b->most = fmax(b->most, times);
}

static int measure(struct bench *b, const struct place *p, struct cell *c)
{
	struct figures f;
	char line[128];
	int rc;

	snprintf(line, sizeof(line), "%s/%s %d %s %s %d", c->shape->name, c->lengths->name,
		 c->lengths->batch, c->method, c->precision, c->threads);
	if (b->only && !strstr(line, b->only))
		return TT_OK;
	rc = prepare(b, p, c);
	c->model = b->model;
	c->data = b->rows;
	if (!rc)
		rc = cell_run(b->dir, c, &f);
	if (!rc)
		print_row(b, line, &f);
	return rc;
}

static int measure_place(struct bench *b, const struct place *p)
{
	struct lengths lengths = folder_lengths[p->lengths];

	lengths.batch = p->batch;
	for (size_t m = 0; m < COUNT(methods); m++)
		for (int k = 0; k < 4; k++) {
			struct cell c = { .shape = &folder_shapes[p->shape],
					  .lengths = &lengths,
					  .method = methods[m],
					  .precision = precisions[k / 2],
					  .threads = k % 2 + 1,
					  .r = 8,
					  .steps = p->steps,
					  .epochs = 2 };
			const int rc = measure(b, p, &c);

			if (rc)
				return rc;
		}
	return TT_OK;
}

static int run(struct bench *b)
{
	b->least = HUGE_VAL;
	printf("%-44s %8s %8s %7s\n", "shape/data batch method type threads", "peak MiB",
	       "estimate", "est/peak");
	for (size_t i = 0; i < COUNT(places); i++) {
		const int rc = measure_place(b, &places[i]);

		if (rc)
			return rc;
	}
	printf("between %.3f and %.3f of what was held\n", b->least, b->most);
	return TT_OK;
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	static struct bench b;
	int rc = TT_OK;

	cell_main(argc, argv);
	for (int i = 1; i < argc; i += 2) {
		const char **to = !strcmp(argv[i], "--data")    ? &b.data
				  : !strcmp(argv[i], "--vocab") ? &b.vocab
				  : !strcmp(argv[i], "--only")  ? &b.only
								: NULL;

		if (!to || i + 1 == argc) {
			fprintf(stderr,
				"usage: estimate [--data DIR] [--vocab FILE] [--only TEXT]\n");
			return 2;
		}
		*to = argv[i + 1];
	}
	snprintf(b.dir, sizeof(b.dir), "%s/trimtab-estimate-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(b.dir))
		rc = err_set(TT_IO, "cannot make the folder %s", b.dir);
	if (!rc) {
		rc = run(&b);
		fs_remove_tree(b.dir);
	}
	if (rc)
		fprintf(stderr, "estimate: %s\n", err_text());
	return rc ? 1 : 0;
}
