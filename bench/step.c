/*
 * How quick is a training step, where does its time go, and what does it hold?
 * BERTs of random weights in three sizes, on lengths of three data sets, by
 * method, precision and threads. Usage:
 *
 *     bench/step [--full] [--data DIR] [--vocab FILE] [--only TEXT] [--json FILE]
 *
 * DIR holds data sets (sst2/train.jsonl.gz, rte/train.jsonl, boolq/dev.jsonl.gz);
 * without it rows are made up with the same lengths. TEXT picks cells whose line
 * holds it, such as "bert-base/rte lora". All is made under $TMPDIR and removed.
 */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "bench/cells.h"

enum { METHOD_ROOM = 32 };

static const struct {
	const char *name;
	bool checkpointing, top, log;
} methods[] = {
	{ .name = "lora" },
	{ .name = "lora", .checkpointing = true },
	{ .name = "lora", .top = true },
	{ .name = "lora", .log = true },
	{ .name = "dora" },
	{ .name = "adalora" },
	{ .name = "delta_lora" },
	{ .name = "vera" },
	{ .name = "lora_fa" },
	{ .name = "full" },
	{ .name = "full", .checkpointing = true },
	{ .name = "head" },
	{ .name = "bitfit" },
	{ .name = "prefix" },
};
static const char *const precisions[] = { "fp32", "bf16" };

/* What is measured: pairs of shape and lengths, and how many steps a pass. */
static const struct pair {
	int shape, set, steps, epochs;
	const char *quick; /* these methods also in quick mode */
} pairs[] = {
	{ SHAPE_MINILM, LENGTHS_SST2, 8, 4, "lora adalora full head bitfit, lora top, lora log" },
	{ SHAPE_MINILM, LENGTHS_RTE, 4, 3, "" },
	{ SHAPE_MINILM, LENGTHS_BOOLQ, 4, 3, "" },
	{ SHAPE_BASE, LENGTHS_SST2, 4, 3, "" },
	{ SHAPE_BASE, LENGTHS_RTE, 3, 3, "lora" },
	{ SHAPE_BASE, LENGTHS_BOOLQ, 3, 3, "lora, lora gc" },
	{ SHAPE_LARGE, LENGTHS_SST2, 2, 3, "" },
	{ SHAPE_LARGE, LENGTHS_RTE, 2, 3, "" },
	{ SHAPE_LARGE, LENGTHS_BOOLQ, 1, 3, "" },
};

static void print_head(void)
{
	printf("%-13s %-6s %-7s %-5s %2s %9s %9s | %8s %6s %8s %8s %7s | %5s %5s %8s %9s %6s\n",
	       "shape", "data", "method", "type", "th", "tokens/s", "per cpu s", "step ms", "pack",
	       "forward", "backward", "rest", "MFU", "cpu", "peak MiB", "est/peak", "start");
}

static void print_speed(const char *name, const struct cell *c, const struct figures *f,
			double wall, double cpu)
{
	printf("%-13s %-6s %-7s %-5s %2d %9.0f %9.0f | %8.1f", c->shape->name, c->lengths->name,
	       name, c->precision, c->threads, f->tokens / wall, f->tokens / cpu,
	       1e3 * wall / f->steps);
}

static void print_row(const struct cell *c, const struct figures *f)
{
	const double ms = 1e3 / f->steps;
	/* what a first pass computes is kept: later ones are quicker, and have less to do */
	const bool kept = c->top || !strcmp(c->method, "head");
	char name[METHOD_ROOM], first[METHOD_ROOM + 3];

	cell_method(c, name, sizeof(name));
	if (!f->done) {
		printf("%-13s %-6s %-7s %-5s %2d %s\n", c->shape->name, c->lengths->name, name,
		       c->precision, c->threads, f->why);
		return;
	}
	if (kept) {
		snprintf(first, sizeof(first), "%s, 1", name);
		print_speed(first, c, f, f->first_wall, f->first_cpu);
		printf(" the first epoch alone\n");
	}
	print_speed(name, c, f, f->wall, f->cpu);
	printf(" %6.1f %8.1f %8.1f %7.1f | ", ms * f->pack, ms * f->forward, ms * f->backward,
	       ms * f->rest);
	if (kept)
		printf("%5s %5s", "-", "-");
	else
		printf("%4.0f%% %4.0f%%", 100 * cell_mfu(f), 100 * cell_mfu_cpu(f, c->threads));
	printf(" %8.0f %9.2f %5.2fs\n", f->rss / (1 << 20), f->estimate / f->rss, f->start);
}

static int measure(struct cells *b, const struct pair *p, struct cell *c)
{
	char line[128], name[METHOD_ROOM];
	struct figures f;
	int rc;

	snprintf(line, sizeof(line), "%s/%s %s %s %d", c->shape->name, c->lengths->name,
		 cell_method(c, name, sizeof(name)), c->precision, c->threads);
	if (!cells_wants(b, line))
		return TT_OK;
	rc = cells_prepare(b, p->shape, c);
	if (!rc)
		rc = cell_run(b->dir, c, &f);
	if (rc)
		return rc;
	print_row(c, &f);
	fflush(stdout);
	cell_write(c, &f, &b->out);
	return TT_OK;
}

/* In quick mode bf16 is tried with lora alone. */
static bool wanted(const struct cells *b, const struct pair *p, const struct cell *c)
{
	char name[METHOD_ROOM];

	if (b->full)
		return true;
	return strstr(p->quick, cell_method(c, name, sizeof(name))) &&
	       (!strcmp(c->precision, "fp32") || !strcmp(name, "lora"));
}

static int measure_all(struct cells *b)
{
	print_head();
	for (size_t i = 0; i < COUNT(pairs); i++)
		for (size_t m = 0; m < COUNT(methods); m++)
			for (int k = 0; k < 4; k++) {
				const struct pair *p = &pairs[i];
				struct cell c = { .shape = &folder_shapes[p->shape],
						  .lengths = &folder_lengths[p->set],
						  .method = methods[m].name,
						  .checkpointing = methods[m].checkpointing,
						  .top = methods[m].top,
						  .log = methods[m].log,
						  .precision = precisions[k / 2],
						  .threads = k % 2 + 1,
						  .r = 8,
						  .steps = p->steps,
						  .epochs = p->epochs };
				int rc;

				if (!wanted(b, p, &c))
					continue;
				rc = measure(b, p, &c);
				if (rc)
					return rc;
			}
	return TT_OK;
}

int main(int argc, char **argv)
{
	static struct cells b = { .name = "step", .measure = measure_all };

	cell_main(argc, argv);
	return cells_main(&b, CELLS_FULL, argc, argv);
}
