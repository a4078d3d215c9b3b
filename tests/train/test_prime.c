/*
 * What comes before the first step, by LoRA-drop on a toy of four layers: less trains
 * after it, and a run that was stopped or killed goes on with just that.
 */
#include "tests/train/runs.h"

static const char *const set[] = {
	"peft={\"method\": \"lora_drop\", \"r\": 2, \"lora_alpha\": 4, \"lora_dropout\": 0.1, "
	"\"threshold\": 0.3, \"sample_ratio\": 0.4, \"sample_epochs\": 2, \"target_modules\": "
	"[\"query\", \"value\"]}",
	NULL,
};

/* A of [2,16] and B of [16,2] for each query and value, and a classifier of 2 x 16 and 2. */
enum { LAYERS = 4, HIDDEN = 16, STEP = 2 * 2 * HIDDEN, HEAD = 2 * HIDDEN + 2 };

static struct ear ear, other;
static int64_t trainable, all; /* as heard last */

static void hear(void *arg, int64_t n, int64_t of)
{
	(void)arg;
	trainable = n;
	all = of;
}

static struct outcome run(const char *dir, int threads, struct ear *e, bool resume)
{
	e->sink.trains = hear;
	trainable = all = 0;
	return go(dir, set, threads, e, resume);
}

static void less_trains(struct outcome *ret)
{
	char dir[PATH_MAX];
	int64_t steps = 0;

	ear_init(&ear);
	*ret = run(run_dir(dir), 1, &ear, false);
	if (!CHECK(ret->rc == TT_OK && ret->last.step == STEPS))
		printf("# %s\n", err_text());
	CHECK(trainable > HEAD && (trainable - HEAD) % STEP == 0 && all > trainable);
	/* one type at least has two or more layers that share */
	steps = (trainable - HEAD) / STEP;
	CHECK(steps >= 4 && steps < 2 * LAYERS);
	for (int64_t i = 1; i <= STEPS; i++)
		CHECK(ear_value(&ear, "train/grad_norm", i) > 0);
	CHECK(ear_value(&ear, "method/lora_drop/kept", STEPS) >= 2);
}

static void is_the_same(const struct outcome *base, const struct outcome *o, int64_t from)
{
	if (!CHECK(o->rc == TT_OK && o->end == TRAIN_FINISHED))
		printf("# %s\n", err_text());
	CHECK(o->hash == base->hash && o->file == base->file);
	CHECK(same_curve(&ear, &other, "train/loss", from, STEPS) &&
	      same_curve(&ear, &other, "eval/loss", from, STEPS));
}

static void on_any_number_of_threads(const struct outcome *base)
{
	for (int threads = 2; threads <= 3; threads++) {
		char dir[PATH_MAX];
		struct outcome o;

		ear_init(&other);
		o = run(run_dir(dir), threads, &other, false);
		is_the_same(base, &o, 1);
	}
}

static void after_a_stop_and_a_kill(const struct outcome *base)
{
	const int64_t trains = trainable;
	char dir[PATH_MAX];
	struct outcome o;

	run_dir(dir);
	ear_init(&other);
	other.stop_after = 1;
	o = run(dir, 2, &other, false);
	CHECK(o.rc == TT_OK && o.end == TRAIN_WAS_STOPPED && o.last.step == 1);
	other.stop_after = -1;
	o = run(dir, 3, &other, true);
	CHECK(trainable == trains);
	is_the_same(base, &o, 1);
	CHECK(killed(run_dir(dir), set, 5));
	ear_init(&other);
	o = run(dir, 2, &other, true);
	is_the_same(base, &o, 5);
}

/* A stop before the first step leaves nothing behind, and the run can begin again. */
static void stopped_while_it_looks(const struct outcome *base)
{
	char dir[PATH_MAX];
	struct outcome o;

	run_dir(dir);
	ear_init(&other);
	other.stop_after = 0;
	o = run(dir, 2, &other, false);
	CHECK(o.rc == TT_STOPPED && strstr(err_text(), "while the method looked") != NULL);
	ear_init(&other);
	o = run(dir, 2, &other, false);
	is_the_same(base, &o, 1);
}

int main(void)
{
	char path[PATH_MAX];
	struct outcome base;

	if (!CHECK(toy_folder(top, sizeof(top)) != NULL) || !CHECK(world_make(top) == TT_OK))
		return check_done();
	CHECK(fs_join(path, sizeof(path), top, "model") == TT_OK &&
	      toy_bert(path, LAYERS, HIDDEN, 2, 32, 64, 2, 5) == TT_OK);
	less_trains(&base);
	on_any_number_of_threads(&base);
	after_a_stop_and_a_kill(&base);
	stopped_while_it_looks(&base);
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
