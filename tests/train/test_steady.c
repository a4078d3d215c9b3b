/* A run in its steady state asks the system for no memory. */
#include "tests/check.h"

#include "base/array.h"
#include "tests/memory.h"
#include "tests/train/adapters.h"

static char top[PATH_MAX];

static struct ear ear;
static int64_t from, last;        /* the steps between which nothing may be asked for */
static const char *const *common; /* what all runs set; ends with NULL */

static void step_done(struct ear *e, int64_t step)
{
	(void)e;
	atomic_store(&memory_counting, step >= from && step < last);
}

/* Rows of one length: each step has the shards of the one before. */
static int even_rows(const char *name)
{
	char path[PATH_MAX];
	struct buf out;
	int rc = fs_join(path, sizeof(path), top, name);

	buf_init(&out, 1 << 20);
	for (int i = 0; i < 48; i++) {
		buf_text(&out, "{\"text_a\": \"");
		for (int k = 0; k < 26; k++)
			buf_printf(&out, "w%d ", 57 + (i * 7 + k * 5) % 6);
		buf_printf(&out, "\", \"label\": %d, \"score\": %d}\n", i % 2, i % 2);
	}
	if (!rc)
		rc = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return rc;
}

/* How often it was asked for while steps from + 1 .. last ran. */
static int asked(const char *const *set, int threads)
{
	char dir[PATH_MAX], name[32];
	enum train_end end;
	struct world w;
	static int run;
	int rc;

	snprintf(name, sizeof(name), "run-%d", ++run);
	fs_join(dir, sizeof(dir), top, name);
	ear_init(&ear);
	ear.at_step = step_done;
	atomic_store(&memory_calls, 0);
	rc = world_open(&w, top, dir, set, threads, &ear.sink);
	if (!rc)
		rc = train_open(&w.trainer);
	if (!rc)
		rc = train_run(&w.trainer, false, &end);
	atomic_store(&memory_counting, false);
	if (!CHECK(rc == TT_OK && ear.step == last))
		printf("# %s\n", err_text());
	world_close(&w);
	return atomic_load(&memory_calls);
}

/* What an experiment adds; dropout is on. */
static const char *const runs[][3] = {
	{ "peft.r=2" },
	{ "peft={\"method\": \"full\"}" },
	{ "peft={\"method\": \"bitfit\"}" },
	{ "peft={\"method\": \"head\"}" },
	{ "train.dropout=0", "peft.layers_to_transform=[1]" },
	{ "train.gradient_checkpointing=true" },
	{ "task={\"type\": \"mlm\"}" },
	{ "task={\"type\": \"regression\"}", "data.label=score" },
	{ "train.optim=sgd" },
};

/* One kind of run on one and on two threads. more: ends with NULL or is full. */
static void try_one(const char *what, const char *const *more, size_t n_more)
{
	const char *set[16] = { NULL };
	size_t n = 0;

	while (common[n]) {
		set[n] = common[n];
		n++;
	}
	for (size_t i = 0; i < n_more && more[i]; i++)
		set[n++] = more[i];
	for (int threads = 1; threads <= 2; threads++) {
		const int got = asked(set, threads);

		if (!CHECK_NAMED(got == 0, what))
			printf("# %d times with %d threads\n", got, threads);
	}
}

static void try_all(void)
{
	for (size_t i = 0; i < COUNT(runs); i++)
		try_one(runs[i][0], runs[i], COUNT(runs[i]));
}

static void try_methods(void)
{
	for (size_t i = 0; i < METHOD_ROWS; i++) {
		const struct method_row *row = &method_rows[i];
		const char *more;
		char what[120];
		struct buf set;

		snprintf(what, sizeof(what), "%s %.90s", row->method, row->json);
		buf_init(&set, 1 << 16);
		if (CHECK_NAMED(row_setting(row, &set) == TT_OK, what)) {
			more = set.data;
			try_one(what, &more, 1);
		}
		buf_done(&set);
	}
}

/* Rows of one length, over the ends of epochs: the first step is as any. */
static void steps_of_one_kind(void)
{
	static const char *const set[] = { "data.train=even.jsonl", "train.num_train_epochs=5",
					   "train.eval_steps=1000", "train.save_steps=1000", NULL };

	common = set;
	from = 1;
	last = 15;
	try_all();
}

/* Windows of all sizes, in the order of the file: none is new after the first epoch. */
static void all_that_comes_again(void)
{
	static const char *const set[] = { "data.shuffle=false", "train.num_train_epochs=5",
					   "train.eval_steps=1", "train.save_steps=1000", NULL };

	common = set;
	from = 4;
	last = 15;
	try_all();
}

/*
 * The steps of every method, when those that begin or prune once have done so. An
 * evaluation may take memory for the numbers of a panel.
 */
static void steps_of_all_methods(void)
{
	static const char *const set[] = { "data.shuffle=false", "train.num_train_epochs=5",
					   "train.eval_steps=1000", "train.save_steps=1000", NULL };

	common = set;
	from = 9;
	last = 15;
	try_methods();
}

int main(void)
{
	if (!CHECK(toy_folder(top, sizeof(top)) != NULL) || !CHECK(world_make(top) == TT_OK) ||
	    !CHECK(even_rows("even.jsonl") == TT_OK) || !CHECK(world_adapters(top) == TT_OK))
		return check_done();
	memory_check();
	steps_of_one_kind();
	all_that_comes_again();
	steps_of_all_methods();
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
