/*
 * Every row of tests/method/rows.h over whole runs of a toy experiment, with
 * dropout on: it comes to its end, with the same bits on any number of threads,
 * with gradient checkpointing, and after a stop or a kill and a resume.
 */
#include "tests/train/runs.h"

#include "tests/train/adapters.h"

static struct ear ear, other;

/* A row, what of the recipe it sets, and the undisturbed run; what that said stays in `ear`. */
struct trial {
	const char *what, *set[2];
	struct outcome base;
};

static void comes_to_its_end(struct trial *t)
{
	bool finite = true;

	t->base = fresh(t->set, 1, &ear);
	if (!CHECK_NAMED(t->base.rc == TT_OK, t->what))
		printf("# %s\n", err_text());
	CHECK_NAMED(t->base.end == TRAIN_FINISHED && t->base.last.step == STEPS && t->base.file,
		    t->what);
	CHECK_NAMED(t->base.hash != t->base.first, t->what);
	for (int i = 0; i < ear.n; i++)
		finite &= strncmp(ear.heard[i].key, "method/", 7) != 0 ||
			  isfinite(ear.heard[i].value);
	for (int64_t i = 1; i <= STEPS; i++)
		finite &= ear_value(&ear, "train/loss", i) > 0 &&
			  ear_value(&ear, "train/grad_norm", i) > 0;
	CHECK_NAMED(finite && ear_value(&ear, "eval/loss", STEPS) > 0, t->what);
}

static void is_the_same(const struct trial *t, const struct outcome *o, int64_t from)
{
	if (!CHECK_NAMED(o->rc == TT_OK && o->end == TRAIN_FINISHED, t->what))
		printf("# %s\n", err_text());
	CHECK_NAMED(o->hash == t->base.hash && o->file == t->base.file, t->what);
	CHECK_NAMED(same_curve(&ear, &other, "train/loss", from, STEPS) &&
			    same_curve(&ear, &other, "train/grad_norm", from, STEPS) &&
			    same_curve(&ear, &other, "eval/loss", from, STEPS),
		    t->what);
}

static void on_any_number_of_threads(const struct trial *t)
{
	for (int threads = 2; threads <= 3; threads++) {
		const struct outcome o = fresh(t->set, threads, &other);

		is_the_same(t, &o, 1);
	}
}

static void after_a_stop(const struct trial *t, int64_t step)
{
	char dir[PATH_MAX];
	struct outcome o;

	run_dir(dir);
	ear_init(&other);
	other.stop_after = step;
	o = go(dir, t->set, 2, &other, false);
	CHECK_NAMED(o.rc == TT_OK && o.end == TRAIN_WAS_STOPPED && o.last.step == step, t->what);
	other.stop_after = -1;
	o = go(dir, t->set, 3, &other, true);
	is_the_same(t, &o, 1);
}

/* What was done since the last checkpoint, of step 4, is done again. */
static void after_a_kill(const struct trial *t)
{
	char dir[PATH_MAX];
	struct outcome o;

	CHECK_NAMED(killed(run_dir(dir), t->set, 5), t->what);
	ear_init(&other);
	o = go(dir, t->set, 2, &other, true);
	is_the_same(t, &o, 5);
}

/* Nor does it matter what of the tape is kept. */
static void with_blocks_built_again(const struct trial *t)
{
	const char *const set[] = { t->set[0], "train.gradient_checkpointing=true", NULL };
	const struct outcome o = fresh(set, 2, &other);

	if (!CHECK_NAMED(o.rc == TT_OK && o.hash == t->base.hash, t->what))
		printf("# %s\n", o.rc ? err_text() : "other bits");
	CHECK_NAMED(same_curve(&ear, &other, "train/loss", 1, STEPS), t->what);
}

static void walk(const struct method_row *row)
{
	char what[120];
	struct trial t = { .what = what };
	struct buf set;

	snprintf(what, sizeof(what), "%s %.90s", row->method, row->json);
	buf_init(&set, 1 << 16);
	if (CHECK_NAMED(row_setting(row, &set) == TT_OK, what)) {
		t.set[0] = set.data;
		comes_to_its_end(&t);
		on_any_number_of_threads(&t);
		with_blocks_built_again(&t);
		after_a_stop(&t, 1);
		after_a_stop(&t, 4);
		after_a_kill(&t);
	}
	buf_done(&set);
}

int main(void)
{
	if (!CHECK(toy_folder(top, sizeof(top)) != NULL) || !CHECK(world_make(top) == TT_OK))
		return check_done();
	CHECK(world_adapters(top) == TT_OK);
	for (const struct method_ops *const *ops = method_all(); *ops; ops++)
		CHECK_NAMED(method_has_row((*ops)->name), (*ops)->name);
	for (size_t i = 0; i < METHOD_ROWS; i++)
		walk(&method_rows[i]);
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
