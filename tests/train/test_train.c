/*
 * Whole runs of a toy experiment with dropout on. The promise above all: the
 * same bits on any number of threads, with any micro-batch, and after a stop,
 * a kill or a full disk.
 */
#include "tests/train/runs.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/array.h"
#include "tensor/op.h"
#include "train/step.h"

static struct ear ear, other;

/* The undisturbed run that others are held against; its words stay in `ear`. */
static struct outcome base;

static void a_run_says_everything(void)
{
	base = fresh(NULL, 1, &ear);
	if (!CHECK(base.rc == TT_OK))
		printf("# %s\n", err_text());
	CHECK(base.end == TRAIN_FINISHED && base.last.step == STEPS && base.file);
	for (int64_t i = 1; i <= STEPS; i++) {
		CHECK(ear_value(&ear, "train/loss", i) > 0 &&
		      ear_value(&ear, "train/grad_norm", i) > 0);
		CHECK_NEAR(ear_value(&ear, "train/learning_rate", i),
			   0.01 * (double)(STEPS - i + 1) / STEPS, 1e-15);
		CHECK_NEAR(ear_value(&ear, "train/epoch", i), (double)i / 3, 1e-15);
	}
	CHECK(ear_count(&ear, "train/loss") == STEPS &&
	      ear_count(&ear, "train/tokens_per_second") == STEPS);
	for (int64_t i = 1; i <= STEPS; i++) {
		const bool wanted = i % 2 == 0 || i == STEPS;

		CHECK(!isnan(ear_value(&ear, "eval/loss", i)) == wanted);
		CHECK(!isnan(ear_value(&ear, "eval/accuracy", i)) == wanted);
	}
	CHECK(ear_count(&ear, "eval/f1") == 5 && ear_count(&ear, "eval/mcc") == 5 &&
	      ear_count(&ear, "eval/macro_f1") == 5);
	CHECK(strstr(ear.events, "checkpoint@2(step 2) ") &&
	      strstr(ear.events, "checkpoint@9(step 9) "));
	CHECK(ear.best_step > 0 && ear.best_step == base.last.best_step);
}

static void threads_do_not_matter(void)
{
	for (int threads = 2; threads <= 3; threads++) {
		const struct outcome o = fresh(NULL, threads, &other);

		CHECK(o.rc == TT_OK && o.hash == base.hash && o.file == base.file);
		CHECK(same_curve(&ear, &other, "train/loss", 1, STEPS));
		CHECK(same_curve(&ear, &other, "train/grad_norm", 1, STEPS));
		CHECK(same_curve(&ear, &other, "eval/loss", 1, STEPS));
	}
}

/* What a run computes does not depend on what it keeps of it for backward. */
static void blocks_may_be_built_again(void)
{
	static const char *const runs[][5] = {
		{ "train.gradient_checkpointing=false" },
		{ "train.gradient_checkpointing=false", "peft={\"method\": \"full\"}" },
		{ "train.gradient_checkpointing=false", "peft={\"method\": \"bitfit\"}" },
		{ "train.gradient_checkpointing=false", "task={\"type\": \"mlm\"}" },
		{ "train.gradient_checkpointing=false", "train.dropout=0",
		  "peft.layers_to_transform=[1]" },
	};

	for (size_t i = 0; i < COUNT(runs); i++) {
		const struct outcome kept = fresh(runs[i], 1, &ear);
		const char *set[5];

		memcpy(set, runs[i], sizeof(set));
		set[0] = "train.gradient_checkpointing=true";
		CHECK(kept.rc == TT_OK && ear_count(&ear, "train/loss") == STEPS);
		for (int threads = 1; threads <= 3; threads++) {
			const struct outcome o = fresh(set, threads, &other);

			CHECK_NAMED(o.rc == TT_OK && o.hash == kept.hash, set[1] ? set[1] : "lora");
			CHECK(same_curve(&ear, &other, "train/loss", 1, STEPS));
			CHECK(same_curve(&ear, &other, "train/grad_norm", 1, STEPS));
			CHECK(same_curve(&ear, &other, "eval/loss", 1, STEPS));
		}
	}
}

/* The losses of three windows, each packed on the spot, or while the one before computes. */
static void losses(bool ahead, int threads, double *ret)
{
	static const int64_t row[3][4] = { { 3, 1, 4, 15 }, { 9, 2, 6, 5 }, { 35, 8, 9, 7 } };
	struct window w[3];
	struct gradients g;
	struct world world;

	CHECK(world_open(&world, top, NULL, NULL, threads, NULL) == TT_OK &&
	      train_open(&world.trainer) == TT_OK);
	for (int i = 0; i < 3; i++)
		w[i] = (struct window){ row[i], 4, i + 1, 0 };
	for (int i = 0; i < 3; i++) {
		const struct window *next = ahead && i < 2 ? &w[i + 1] : NULL;

		CHECK(step_gradients(&world.trainer, &w[i], next, &g) == TT_OK);
		ret[i] = g.loss;
	}
	/* the same step with other rows, after all: what waits for it is not taken */
	CHECK(step_gradients(&world.trainer, &w[0], &w[1], &g) == TT_OK);
	step_forget(&world.trainer);
	w[1].row = row[2];
	CHECK(step_gradients(&world.trainer, &w[1], NULL, &g) == TT_OK);
	ret[3] = g.loss;
	world_close(&world);
}

static void who_packs_does_not_matter(void)
{
	double spot[4], ahead[4];

	losses(false, 1, spot);
	for (int threads = 1; threads <= 3; threads++) {
		losses(true, threads, ahead);
		CHECK(!memcmp(spot, ahead, sizeof(spot)));
	}
	CHECK(spot[0] != spot[1] && spot[1] != spot[2] && spot[3] != spot[1]);
}

/* Only the product of batch and accumulation counts. */
static void the_split_does_not_matter(void)
{
	static const char *const split[][3] = {
		{ "train.per_device_train_batch_size=4", "train.gradient_accumulation_steps=4",
		  NULL },
		{ "train.per_device_train_batch_size=1", "train.gradient_accumulation_steps=16",
		  NULL },
		{ "train.per_device_train_batch_size=8", "train.gradient_accumulation_steps=2",
		  NULL },
	};

	for (size_t i = 0; i < COUNT(split); i++) {
		const struct outcome o = fresh(split[i], 2, &other);

		CHECK(o.rc == TT_OK && o.hash == base.hash);
		CHECK(same_curve(&ear, &other, "train/loss", 1, STEPS));
	}
}

static void nor_does_it_in_batches_of_like_lengths(void)
{
	static const char *const one[] = { "data.group_by_length=true", NULL };
	static const char *const many[] = { "data.group_by_length=true",
					    "train.per_device_train_batch_size=2",
					    "train.gradient_accumulation_steps=8", NULL };
	const struct outcome a = fresh(one, 1, &other), b = fresh(many, 2, &other);

	CHECK(a.rc == TT_OK && b.rc == TT_OK && a.hash == b.hash && a.hash != base.hash);
}

/* A seed, or dropout, does change something: so the comparisons above can fail. */
static void what_matters(void)
{
	static const char *const seed[] = { "train.seed=4", NULL }, *const drop[] = {
		"train.dropout=0.2", NULL
	};
	static const char *const order[] = { "data.shuffle=false", NULL };
	const struct outcome a = fresh(seed, 1, &other), b = fresh(drop, 1, &other),
			     c = fresh(order, 1, &other);

	CHECK(a.rc == TT_OK && b.rc == TT_OK && c.rc == TT_OK);
	CHECK(a.hash != base.hash && b.hash != base.hash && c.hash != base.hash);
}

/* Stop after `step` steps by command or by signal, go on with another number of threads. */
static void stop_and_resume(int64_t step, bool by_signal)
{
	struct outcome o;
	char dir[PATH_MAX];

	run_dir(dir);
	ear_init(&other);
	if (by_signal)
		other.stop_after = step;
	else
		other.play[0] = (struct play){ .step = step,
					       .command = { .verb = TRAIN_STOP, .id = 1 } };
	o = go(dir, NULL, 2, &other, false);
	CHECK(o.rc == TT_OK && o.end == TRAIN_WAS_STOPPED && o.last.step == step);
	CHECK(by_signal || !strncmp(other.answers, "1:stopping after step", 21));
	other.stop_after = -1;
	o = go(dir, NULL, 3, &other, true);
	CHECK(o.rc == TT_OK && o.end == TRAIN_FINISHED);
	CHECK(o.hash == base.hash && o.file == base.file);
	CHECK(same_curve(&ear, &other, "train/loss", 1, STEPS));
	CHECK(same_curve(&ear, &other, "eval/loss", 1, STEPS));
}

/* What is between two reports, and how long the best is ago, must not be forgotten over a stop. */
static void stop_between_reports(void)
{
	static const char *const set[] = { "train.logging_steps=4",
					   "train.early_stopping_patience=3", "train.eval_steps=1",
					   "task.metric=loss", NULL };
	const struct play wreck = { .step = 2, .command = { TRAIN_SET_LEARNING_RATE, 50, 1 } };
	struct outcome whole, o;
	char dir[PATH_MAX];
	double loss;

	ear_init(&other);
	other.play[0] = wreck;
	whole = go(run_dir(dir), set, 1, &other, false);
	loss = ear_value(&other, "train/loss", 4);
	CHECK(whole.rc == TT_OK && whole.last.step < STEPS &&
	      strstr(other.events, "early_stopping@"));
	run_dir(dir);
	ear_init(&other);
	other.play[0] = wreck;
	other.stop_after = 3;
	CHECK(go(dir, set, 1, &other, false).end == TRAIN_WAS_STOPPED);
	ear_init(&other);
	o = go(dir, set, 1, &other, true);
	CHECK(o.rc == TT_OK && o.file == whole.file && o.last.step == whole.last.step);
	CHECK(ear_value(&other, "train/loss", 4) == loss);
}

/*
 * Told to stop while a long evaluation runs: it is not waited for, and done when the
 * run goes on.
 */
static void stop_while_evaluating(void)
{
	static const char *const set[] = { "data.validation=long.jsonl", "train.eval_steps=1000",
					   "train.save_steps=1000", NULL };
	struct outcome whole, o;
	char dir[PATH_MAX];

	CHECK(world_rows(top, "long.jsonl", 1200, 3) == TT_OK);
	whole = fresh(set, 1, &other);
	CHECK(whole.rc == TT_OK && whole.last.evaluated == STEPS &&
	      ear_count(&other, "eval/loss") == 1);
	run_dir(dir);
	ear_init(&other);
	other.stop_after = STEPS;
	o = go(dir, set, 1, &other, false);
	CHECK(o.rc == TT_OK && o.end == TRAIN_WAS_STOPPED && ear_count(&other, "eval/loss") == 0);
	CHECK(o.last.step == STEPS && o.last.evaluated == -1);
	ear_init(&other);
	o = go(dir, set, 1, &other, true);
	CHECK(o.rc == TT_OK && o.end == TRAIN_FINISHED && ear_count(&other, "eval/loss") == 1);
	CHECK(o.file == whole.file && o.last.best_step == STEPS);
}

/*
 * kill -9 in a child when that step is done: what it did since its last checkpoint is
 * done again.
 */
static void kill_and_resume(int64_t step)
{
	struct outcome o;
	char dir[PATH_MAX];

	CHECK(killed(run_dir(dir), NULL, step));
	ear_init(&other);
	o = go(dir, NULL, 2, &other, true);
	CHECK(o.rc == TT_OK && o.hash == base.hash && o.file == base.file);
	CHECK(same_curve(&ear, &other, "train/loss", step, STEPS));
}

/*
 * Killed before its first checkpoint there is nothing to go on from, and a new run may
 * start there.
 */
static void killed_too_early(void)
{
	char dir[PATH_MAX];
	struct outcome o;

	run_dir(dir);
	ear_init(&other);
	CHECK(go(dir, NULL, 1, &other, true).rc == TT_NOTFOUND);
	CHECK(strstr(err_text(), "no whole checkpoint") != NULL);
	ear_init(&other);
	o = go(dir, NULL, 1, &other, false);
	CHECK(o.rc == TT_OK && o.hash == base.hash);
	ear_init(&other);
	CHECK(go(dir, NULL, 1, &other, false).rc == TT_INVALID);
	CHECK(strstr(err_text(), "resume that run") != NULL);
	ear_init(&other); /* resuming a finished run changes nothing */
	o = go(dir, NULL, 1, &other, true);
	CHECK(o.rc == TT_OK && o.end == TRAIN_FINISHED && o.hash == base.hash &&
	      o.file == base.file);
	CHECK(ear_count(&other, "train/loss") == 0);
}

static void a_damaged_checkpoint_costs_its_steps(void)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct outcome o;
	FILE *f;

	run_dir(dir);
	ear_init(&other);
	other.stop_after = 6;
	CHECK(go(dir, NULL, 1, &other, false).end == TRAIN_WAS_STOPPED);
	CHECK(fs_join(path, sizeof(path), dir, "checkpoints/step-00000006.safetensors") == TT_OK);
	f = fopen(path, "r+b");
	CHECK(f && !fseek(f, -5, SEEK_END) && fputc(77, f) == 77 && !fclose(f));
	ear_init(&other);
	o = go(dir, NULL, 1, &other, true);
	CHECK(o.rc == TT_OK && o.hash == base.hash && o.file == base.file);
	CHECK(strstr(other.events, "continued@4(") != NULL);
}

/* The recipe as the workbench writes it back, with every default, is the same experiment. */
static void resume_with_the_written_recipe(void)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct outcome o;
	struct world w;
	struct buf text;

	run_dir(dir);
	ear_init(&other);
	other.stop_after = 5;
	CHECK(go(dir, NULL, 1, &other, false).end == TRAIN_WAS_STOPPED);
	buf_init(&text, 1 << 20);
	CHECK(world_open(&w, top, dir, NULL, 1, NULL) == TT_OK &&
	      recipe_write(w.recipe, &text) == TT_OK);
	world_close(&w);
	CHECK(fs_join(path, sizeof(path), top, "written.json") == TT_OK &&
	      fs_write_atomic(path, text.data, text.size) == TT_OK);
	buf_done(&text);
	world_recipe = "written.json";
	ear_init(&other);
	o = go(dir, NULL, 1, &other, true);
	world_recipe = "recipe.json";
	CHECK(o.rc == TT_OK && o.hash == base.hash && o.file == base.file);
	ear_init(&other);
	CHECK(go(dir, (const char *const[]){ "train.learning_rate=0.02", NULL }, 1, &other, true)
		      .rc == TT_INVALID);
	CHECK(strstr(err_text(), "other settings") != NULL);
}

static void fill_disk(struct ear *e, int64_t step)
{
	const struct rlimit small = { 512, RLIM_INFINITY };

	(void)e;
	if (step == 4)
		setrlimit(RLIMIT_FSIZE, &small);
}

/* A disk that is full when the checkpoint of step 4 is due. */
static void a_full_disk(void)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	void (*const old)(int) = signal(SIGXFSZ, SIG_IGN);
	char dir[PATH_MAX], why[512];
	struct outcome o;

	run_dir(dir);
	fflush(stdout);
	ear_init(&other);
	other.at_step = fill_disk;
	o = go(dir, NULL, 1, &other, false);
	snprintf(why, sizeof(why), "%s", err_text());
	setrlimit(RLIMIT_FSIZE, &none);
	signal(SIGXFSZ, old);
	CHECK(o.rc == TT_IO);
	CHECK(!strncmp(why, "the checkpoint of step 4 was not written", 40));
	ear_init(&other);
	o = go(dir, NULL, 1, &other, true);
	CHECK(o.rc == TT_OK && o.hash == base.hash && o.file == base.file);
	CHECK(strstr(other.events, "continued@2(") != NULL);
}

static void a_new_learning_rate(void)
{
	struct outcome whole, o;
	char dir[PATH_MAX];
	const struct play set = { .step = 3, .command = { TRAIN_SET_LEARNING_RATE, 0.002, 7 } };

	ear_init(&other);
	other.play[0] = set;
	other.play[1] = (struct play){ .step = 4, .command = { TRAIN_SET_LEARNING_RATE, -1, 8 } };
	whole = go(run_dir(dir), NULL, 1, &other, false);
	CHECK(whole.rc == TT_OK && whole.hash != base.hash);
	CHECK_NEAR(ear_value(&other, "train/learning_rate", 3), 0.01 * 7 / STEPS, 1e-15);
	CHECK_NEAR(ear_value(&other, "train/learning_rate", 4), 0.002 * 6 / STEPS, 1e-15);
	CHECK_NEAR(ear_value(&other, "train/learning_rate", 9), 0.002 * 1 / STEPS, 1e-15);
	CHECK(strstr(other.events, "learning_rate@3(0.01 to 0.002) ") != NULL);
	CHECK(strstr(other.answers, "7:the base learning rate is 0.002 from step 4 on; ") != NULL);
	CHECK(strstr(other.answers, "8:refused") != NULL);
	run_dir(dir); /* it survives a stop */
	ear_init(&other);
	other.play[0] = set;
	other.stop_after = 5;
	CHECK(go(dir, NULL, 1, &other, false).end == TRAIN_WAS_STOPPED);
	ear_init(&other);
	o = go(dir, NULL, 1, &other, true);
	CHECK(o.rc == TT_OK && o.hash == whole.hash);
}

/* None of these changes what is learned. */
static void pausing_and_asking(void)
{
	struct outcome o;
	char dir[PATH_MAX];

	ear_init(&other);
	other.play[0] = (struct play){ .step = 3, .command = { .verb = TRAIN_PAUSE, .id = 1 } };
	other.play[1] = (struct play){ .step = 3,
				       .command = { .verb = TRAIN_CHECKPOINT, .id = 2 } };
	other.play[2] = (struct play){ .step = 3, .command = { .verb = TRAIN_EVAL_NOW, .id = 3 } };
	other.play[3] = (struct play){ .step = 3, .command = { .verb = TRAIN_RESUME, .id = 4 } };
	o = go(run_dir(dir), NULL, 1, &other, false);
	CHECK(o.rc == TT_OK && o.hash == base.hash && o.file == base.file);
	CHECK(other.pauses == 1 && !other.is_paused && other.waits == 3);
	CHECK(strstr(other.events, "paused@3() checkpoint@3(step 3) resumed@3() ") != NULL);
	CHECK(!strncmp(other.answers,
		       "1:paused after step 3; 2:checkpoint of step 3; 3:eval/accuracy ", 62));
	CHECK(!isnan(ear_value(&other, "eval/loss", 3)));
	ear_init(&other); /* a paused run can be stopped */
	other.play[0] = (struct play){ .step = 1, .command = { .verb = TRAIN_PAUSE, .id = 1 } };
	other.play[1] = (struct play){ .step = 1, .command = { .verb = TRAIN_PAUSE, .id = 2 } };
	other.play[2] = (struct play){ .step = 1, .command = { .verb = TRAIN_STOP, .id = 3 } };
	o = go(run_dir(dir), NULL, 1, &other, false);
	CHECK(o.rc == TT_OK && o.end == TRAIN_WAS_STOPPED && o.last.step == 1);
	CHECK(other.pauses == 1 && !other.is_paused);
}

static void early_stopping(void)
{
	static const char *const set[] = { "train.learning_rate=0",
					   "train.early_stopping_patience=2", "train.eval_steps=1",
					   NULL };
	const struct outcome o = fresh(set, 1, &other);

	/* nothing moves: the first is the best, the second and the third are no better */
	CHECK(o.rc == TT_OK && o.end == TRAIN_FINISHED && o.last.step == 3);
	CHECK(o.last.best_step == 1 && o.last.since_best == 2);
	CHECK(strstr(other.events, "early_stopping@3(") && strstr(other.events, "checkpoint@3("));
}

static int64_t file_count(const char *dir)
{
	char path[PATH_MAX];
	int64_t *step = NULL;
	size_t n = 0;

	CHECK(fs_join(path, sizeof(path), dir, "checkpoints") == TT_OK &&
	      checkpoint_list(path, &step, &n) == TT_OK);
	free(step);
	return (int64_t)n;
}

/* A rate that wrecks the model after step 4; what is kept at the end is the best, not the last. */
static void the_best_is_kept(void)
{
	static const char *const set[] = { "train.load_best_model_at_end=true",
					   "train.save_steps=100",
					   "train.eval_steps=1",
					   "task.metric=loss",
					   "train.save_total_limit=1",
					   NULL };
	struct outcome o;
	double best;
	char dir[PATH_MAX];

	ear_init(&other);
	other.play[0] = (struct play){ .step = 4, .command = { TRAIN_SET_LEARNING_RATE, 50, 1 } };
	o = go(run_dir(dir), set, 1, &other, false);
	CHECK(o.rc == TT_OK && o.last.step == STEPS && o.last.best_step <= 4 &&
	      o.last.best_step >= 1);
	best = ear_value(&other, "eval/loss", o.last.best_step);
	CHECK(best == o.last.best);
	CHECK(ear_value(&other, "eval/loss", STEPS) ==
	      best); /* the last word is about the best weights */
	CHECK(ear_count(&other, "eval/loss") == STEPS + 1);
	CHECK(strstr(other.events, "best@9(restored from step ") != NULL);
	CHECK(file_count(dir) == 2);
}

static void checkpoints_are_few(void)
{
	static const char *const set[] = { "train.save_steps=1", "train.save_total_limit=2", NULL };
	char dir[PATH_MAX];
	struct outcome o;

	ear_init(&other);
	o = go(run_dir(dir), set, 1, &other, false);
	CHECK(o.rc == TT_OK && o.hash == base.hash);
	CHECK(file_count(dir) == 2 + (o.last.best_step < STEPS - 1));
}

/* Logging every third step: the mean of three, and the last step in any case. */
static void logging_less(void)
{
	static const char *const set[] = { "train.logging_steps=4", NULL };
	double mean = 0;

	CHECK(fresh(set, 1, &other).hash == base.hash);
	CHECK(ear_count(&other, "train/loss") == 3 && ear_count(&other, "train/grad_norm") == 3);
	for (int64_t i = 5; i <= 8; i++)
		mean += ear_value(&ear, "train/loss", i) / 4;
	CHECK_NEAR(ear_value(&other, "train/loss", 8), mean, 1e-12);
	CHECK(ear_value(&other, "train/loss", 9) == ear_value(&ear, "train/loss", 9));
	CHECK(ear_value(&other, "train/learning_rate", 8) ==
	      ear_value(&ear, "train/learning_rate", 8));
}

static void how_long(void)
{
	static const char *const part[] = { "train.num_train_epochs=1.5", NULL };
	static const char *const most[] = { "train.max_steps=4", "train.eval_steps=0",
					    "train.save_steps=0", NULL };
	static const char *const none[] = { "train.num_train_epochs=0", NULL };

	CHECK(fresh(part, 1, &other).last.step == 5 && ear_count(&other, "train/loss") == 5);
	CHECK(fresh(most, 1, &other).last.step == 4);
	CHECK(ear_count(&other, "eval/loss") == 2); /* after the epoch, and after the end */
	CHECK(strstr(other.events, "checkpoint@3(") && strstr(other.events, "checkpoint@4("));
	/* no epoch: the model as it is, measured and kept */
	CHECK(fresh(none, 1, &other).rc == TT_OK && ear_count(&other, "train/loss") == 0);
	CHECK(ear_count(&other, "eval/loss") == 1 && ear_value(&other, "eval/loss", 0) > 0);
	CHECK(strstr(other.events, "checkpoint@0(") != NULL);
}

/*
 * Every loss a window reports is the mean over its rows; without dropout and with rate
 * 0 windows add up to the whole.
 */
static void the_loss_is_a_mean(void)
{
	static const char *const set[] = {
		"train.dropout=0",          "peft.lora_dropout=0",         "train.learning_rate=0",
		"train.num_train_epochs=1", "data.validation=train.jsonl", NULL
	};
	double sum = 0;

	CHECK(fresh(set, 2, &other).rc == TT_OK);
	sum = 16 * ear_value(&other, "train/loss", 1) + 16 * ear_value(&other, "train/loss", 2) +
	      13 * ear_value(&other, "train/loss", 3);
	CHECK_NEAR(sum / TOY_ROWS, ear_value(&other, "eval/loss", 3), 1e-6);
}

/*
 * With a rate of 0 two steps on the same rows differ by what is drawn for a step or an
 * epoch, and by nothing else.
 */
static void what_is_drawn_anew(void)
{
	static const struct {
		const char *what, *set[8];
		bool differs;
	} cases[] = {
		{ "nothing is drawn",
		  { "train.dropout=0", "peft.lora_dropout=0", "data.shuffle=false" },
		  false },
		{ "dropout, by step", { "data.shuffle=false" }, true },
		{ "the order, by epoch", { "train.dropout=0", "peft.lora_dropout=0" }, true },
		{ "masks, by epoch",
		  { "train.dropout=0", "peft.lora_dropout=0", "data.shuffle=false",
		    "task={\"type\": \"mlm\"}" },
		  true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *set[10] = { "train.learning_rate=0" };

		for (size_t k = 0; cases[i].set[k]; k++)
			set[k + 1] = cases[i].set[k];
		CHECK_NAMED(fresh(set, 1, &other).rc == TT_OK, cases[i].what);
		CHECK_NAMED((ear_value(&other, "train/loss", 1) !=
			     ear_value(&other, "train/loss", 4)) == cases[i].differs,
			    cases[i].what);
		CHECK_NAMED(ear_value(&other, "eval/loss", 2) == ear_value(&other, "eval/loss", 8),
			    cases[i].what);
	}
}

/* One step of plain SGD moves the weights by rate x the clipped gradient. */
static void clipping(void)
{
	static const struct {
		const char *max;
		double longest;
	} cases[] = { { "train.max_grad_norm=0.001", 0.001 },
		      { "train.max_grad_norm=0", 1e9 },
		      { "train.max_grad_norm=1e9", 1e9 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *const set[] = { "train.optim=sgd", "train.max_steps=1", cases[i].max,
					    NULL };
		double norm, moved = 0;
		float *before[64];
		enum train_end end;
		char dir[PATH_MAX];
		struct world w;

		ear_init(&other);
		CHECK(world_open(&w, top, run_dir(dir), set, 1, &other.sink) == TT_OK &&
		      train_open(&w.trainer) == TT_OK);
		for (size_t k = 0; k < w.method->nparam && k < 64; k++) {
			const size_t size = (size_t)tensor_count(w.method->param[k]) *
					    sizeof(float);

			before[k] = malloc(size);
			memcpy(before[k], w.method->param[k]->data, size);
		}
		CHECK(w.method->nparam <= 64 && train_run(&w.trainer, false, &end) == TT_OK);
		for (size_t k = 0; k < w.method->nparam && k < 64; k++) {
			for (int64_t j = 0; j < tensor_count(w.method->param[k]); j++)
				moved += pow((double)w.method->param[k]->data[j] -
						     (double)before[k][j],
					     2);
			free(before[k]);
		}
		norm = ear_value(&other, "train/grad_norm", 1);
		CHECK(norm > 0.01);
		/* weights of about 1 hold such steps to some 1e-8 each */
		CHECK_NEAR(sqrt(moved) / 0.01, fmin(norm, cases[i].longest),
			   1e-4 * fmin(norm, cases[i].longest) + 2e-5);
		world_close(&w);
	}
}

/*
 * Runs whose frozen layers are computed once. They end with the same bits when
 * nothing is kept, when it is kept in a file, on any number of threads, and after
 * an interruption; and near the run that does not part the model at all.
 */
static const char *const parted[][6] = {
	{ "peft={\"method\": \"head\"}" }, /* the backbone's dropout is off, the head's is on */
	{ "train.dropout=0", "peft.layers_to_transform=[1]" },
	{ "train.dropout=0", "peft.layers_to_transform=[1]", "data.shuffle=false",
	  "peft.target_modules=[\"output.dense\"]" },
	{ "task={\"type\": \"regression\"}", "data.label=score", "peft={\"method\": \"head\"}" },
};

static void stopped_and_resumed(const char *const *set, uint64_t file)
{
	char dir[PATH_MAX];
	struct outcome o;

	ear_init(&other);
	other.stop_after = 4;
	o = go(run_dir(dir), set, 2, &other, false);
	CHECK(o.rc == TT_OK && o.end == TRAIN_WAS_STOPPED && o.last.step == 4);
	other.stop_after = -1;
	o = go(dir, set, 2, &other, true);
	CHECK(o.rc == TT_OK && o.last.step == STEPS && o.file == file);
}

static void what_is_frozen_is_computed_once(void)
{
	for (size_t i = 0; i < COUNT(parted); i++) {
		struct outcome once, o;

		features = FEATURES_AUTO;
		once = fresh(parted[i], 1, &ear);
		if (!CHECK_NAMED(once.rc == TT_OK && once.file, parted[i][0]))
			printf("# %s\n", err_text());
		stopped_and_resumed(parted[i], once.file);
		for (int mode = FEATURES_FILE; mode <= FEATURES_AGAIN; mode++) {
			features = (enum feature_mode)mode;
			o = fresh(parted[i], mode + 1, &other);
			CHECK_NAMED(o.rc == TT_OK && o.file == once.file, parted[i][0]);
			CHECK(same_curve(&ear, &other, "train/loss", 1, STEPS) &&
			      same_curve(&ear, &other, "eval/loss", 1, STEPS));
		}
		features = FEATURES_OFF;
		o = fresh(parted[i], 2, &other);
		CHECK_NAMED(o.rc == TT_OK, parted[i][0]);
		CHECK_NEAR(ear_value(&ear, "train/loss", STEPS),
			   ear_value(&other, "train/loss", STEPS), 1e-4);
		CHECK_NEAR(ear_value(&ear, "eval/loss", STEPS),
			   ear_value(&other, "eval/loss", STEPS), 1e-4);
		features = FEATURES_AUTO;
	}
}

/* Which runs have such layers at all; it must be told from the recipe, not tried. */
static void what_can_be_kept(void)
{
	static const struct {
		const char *set[5];
		bool train, eval;
	} cases[] = {
		{ { "train.dropout=0" }, false, false },             /* the lowest layer trains */
		{ { "peft.layers_to_transform=[1]" }, false, true }, /* dropout in training */
		{ { "train.dropout=0", "peft.layers_to_transform=[1]" }, true, true },
		{ { "train.dropout=0", "peft.layers_to_transform=[1]", "train.max_steps=3" },
		  false,
		  true }, /* one epoch: nothing comes twice */
		{ { "peft={\"method\": \"head\"}" }, true, true },
		{ { "train.dropout=0", "peft={\"method\": \"bitfit\"}" }, false, false },
		{ { "train.dropout=0", "peft={\"method\": \"full\"}" }, false, false },
		{ { "train.dropout=0", "peft.layers_to_transform=[1]", "task={\"type\": \"mlm\"}" },
		  false,
		  false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct features *f = NULL;
		struct world w;

		CHECK(world_open(&w, top, NULL, cases[i].set, 1, NULL) == TT_OK);
		CHECK(features_new(&w.trainer, w.train, true, NULL, &f) == TT_OK);
		CHECK_NAMED((f != NULL) == cases[i].train, cases[i].set[1]);
		CHECK((features_bytes(&w.trainer, w.train, true) > 0) == cases[i].train);
		features_free(f);
		CHECK(features_new(&w.trainer, w.dev, false, NULL, &f) == TT_OK);
		CHECK_NAMED((f != NULL) == cases[i].eval, cases[i].set[1]);
		features_free(f);
		world_close(&w);
	}
}

/* It learns: the rows by heart. */
static void it_learns(void)
{
	static const char *const set[] = { "train.dropout=0",
					   "peft={\"method\": \"full\"}",
					   "train.num_train_epochs=40",
					   "train.eval_steps=1000",
					   "train.save_steps=1000",
					   "data.validation=train.jsonl",
					   NULL };
	CHECK(fresh(set, 2, &other).rc == TT_OK);
	CHECK(ear_value(&other, "train/loss", 120) < 0.1 * ear_value(&other, "train/loss", 1));
	CHECK(ear_value(&other, "eval/accuracy", 120) == 1);
}

static const char *const regression[] = { "task={\"type\": \"regression\"}", "data.label=score",
					  "train.num_train_epochs=20",       "train.eval_steps=0",
					  "train.save_steps=1000",           NULL };
static const char *const words[] = { "task={\"type\": \"mlm\"}", "train.num_train_epochs=2",
				     "train.label_smoothing_factor=0.1", NULL };

static void other_tasks(void)
{
	struct outcome a = fresh(regression, 1, &ear), b = fresh(regression, 2, &other);

	if (!CHECK(a.rc == TT_OK))
		printf("# %s\n", err_text());
	CHECK(b.rc == TT_OK && a.file == b.file);
	CHECK(ear_value(&ear, "eval/loss", 60) < ear_value(&ear, "eval/loss", 3));
	CHECK(!isnan(ear_value(&ear, "eval/pearson", 60)) &&
	      !isnan(ear_value(&ear, "eval/spearman", 60)));
	a = fresh(words, 1, &ear);
	if (!CHECK(a.rc == TT_OK))
		printf("# %s\n", err_text());
	b = fresh(words, 3, &other);
	CHECK(b.rc == TT_OK && a.file == b.file &&
	      same_curve(&ear, &other, "eval/perplexity", 1, 6));
	CHECK_NEAR(ear_value(&ear, "eval/perplexity", 6), exp(ear_value(&ear, "eval/loss", 6)),
		   1e-9);
}

/* A number that is none ends the run with a cause. */
static void not_a_number(void)
{
	enum train_end end;
	char dir[PATH_MAX];
	struct world w;

	ear_init(&other);
	CHECK(world_open(&w, top, run_dir(dir), NULL, 2, &other.sink) == TT_OK &&
	      train_open(&w.trainer) == TT_OK);
	w.method->param[0]->data[0] = NAN;
	CHECK(train_run(&w.trainer, false, &end) == TT_INVALID);
	CHECK(!strncmp(err_text(), "loss is NaN at step 1", 21));
	world_close(&w);
}

/* A method's hooks: a penalty on its first parameter, seen as logits, and a count of the steps. */
static int64_t after[2];

static struct tensor *hook_penalty(struct method *m, struct graph *step)
{
	static const int32_t label[] = { 3, 5 };

	return op_scale(step, op_cross_entropy(step, m->param[0], label, 0, 2, NULL), 0.25f);
}

static int hook_before(struct method *m, struct graph *step)
{
	(void)m;
	after[0] += graph_pass(step)->train; /* evaluations come by as well */
	return TT_OK;
}

static int hook_after(struct method *m, int64_t step)
{
	(void)m;
	after[1] = after[1] * 10 + step;
	return TT_OK;
}

/*
 * Uniform logits cost log(16); the toy's start near zero, so the penalty is near a
 * quarter of that.
 */
static void hooks_of_a_method(void)
{
	static const char *const set[] = { "train.max_steps=3", "train.dropout=0",
					   "peft.lora_dropout=0", NULL };
	struct method_ops ops;
	uint64_t hash[3] = { 0 };
	enum train_end end;
	char dir[PATH_MAX];
	struct world w;

	CHECK(fresh(set, 1, &ear).rc == TT_OK);
	for (int threads = 1; threads <= 3; threads++) {
		memset(after, 0, sizeof(after));
		ear_init(&other);
		CHECK(world_open(&w, top, run_dir(dir), set, threads, &other.sink) == TT_OK);
		ops = *w.method->ops;
		ops.penalty = hook_penalty;
		ops.before_step = hook_before;
		ops.after_step = hook_after;
		w.method->ops = &ops;
		CHECK(w.method->param[0]->dim[0] == 2 && w.method->param[0]->dim[1] == 16);
		CHECK(train_open(&w.trainer) == TT_OK &&
		      train_run(&w.trainer, false, &end) == TT_OK);
		hash[threads - 1] = world_hash(&w);
		CHECK(after[0] == 3 && after[1] == 123);
		world_close(&w);
	}
	CHECK_NEAR(ear_value(&other, "train/loss", 1) - ear_value(&ear, "train/loss", 1),
		   0.25 * log(16), 0.05);
	CHECK(fabs(ear_value(&other, "train/grad_norm", 1) -
		   ear_value(&ear, "train/grad_norm", 1)) > 1e-6);
	CHECK_NEAR(ear_value(&other, "eval/loss", 3), ear_value(&ear, "eval/loss", 3), 0.05);
	CHECK(hash[0] == hash[1] && hash[1] == hash[2]);
}

static int looked;

/* Three passes that change nothing: the last has a rate of 0. */
static int look(struct method *m, const struct probe *p)
{
	const int64_t row[] = { 0, 3, 1 };
	double loss = 0;
	int rc = p->gradients(p->arg, row, 3, &loss);

	(void)m;
	CHECK(loss > 0 && p->rows > 3);
	if (!rc)
		rc = p->visit(p->arg, row, 3);
	if (!rc)
		rc = p->step(p->arg, row, 2, 0);
	looked += rc == TT_OK;
	return rc;
}

/* A method may look at the data before the first step; a run that only looked is as one that did not. */
static void looking_first(void)
{
	static const char *const set[] = { "train.max_steps=3", NULL };
	const uint64_t plain = fresh(set, 1, &ear).hash;
	struct method_ops ops;
	enum train_end end;
	char dir[PATH_MAX];
	struct world w;

	ear_init(&other);
	CHECK(world_open(&w, top, run_dir(dir), set, 2, &other.sink) == TT_OK);
	ops = *w.method->ops;
	ops.prime = look;
	w.method->ops = &ops;
	CHECK(train_open(&w.trainer) == TT_OK && train_run(&w.trainer, false, &end) == TT_OK);
	CHECK(looked == 1 && world_hash(&w) == plain);
	world_close(&w);
}

static const struct {
	const char *set[4], *why;
} refusals[] = {
	{ { "train.early_stopping_patience=2", "data.validation=null" },
	  "early_stopping_patience needs data.validation" },
	{ { "train.load_best_model_at_end=true", "data.validation=null" },
	  "load_best_model_at_end needs data.validation" },
	{ { "task.metric=pearson" }, "task.metric pearson does not fit task seq_cls" },
	{ { "train.optim=adamw_8bit" }, "adamw_8bit is not in this version" },
	{ { "train.optim=sgd", "peft={\"method\": \"lora_fa\"}" },
	  "method 'lora_fa' has an AdamW of its own, so train.optim must be adamw" },
	{ { "train.lr_scheduler_type=polynomial", "train.learning_rate=1e-8" },
	  "polynomial ends at 1e-7" },
	{ { "task={\"type\": \"regression\"}", "data.label=score",
	    "train.label_smoothing_factor=0.1" },
	  "label_smoothing_factor does not go with task regression" },
};

static void what_is_refused(void)
{
	for (size_t i = 0; i < COUNT(refusals); i++) {
		const struct outcome o = fresh(refusals[i].set, 1, &other);

		CHECK_NAMED(o.rc == TT_INVALID, refusals[i].why);
		CHECK_NAMED(strstr(err_text(), refusals[i].why) != NULL, refusals[i].why);
	}
}

/* Without training data: evaluation and prediction only, and they agree with each other. */
static void evaluation_alone(void)
{
	float logits[TOY_DEV * 2], again[TOY_DEV * 2];
	double loss = 0;
	struct scores s, t;
	struct world w;

	for (int threads = 1; threads <= 3; threads++) {
		CHECK(world_open(&w, top, NULL, NULL, threads, NULL) == TT_OK);
		w.trainer.train = NULL;
		w.trainer.validation = NULL;
		CHECK(train_open(&w.trainer) == TT_OK);
		CHECK(train_predict(&w.trainer, w.dev, threads == 1 ? logits : again) == TT_OK);
		CHECK(threads == 1 || !memcmp(logits, again, sizeof(logits)));
		CHECK(train_eval(&w.trainer, w.dev, threads == 1 ? &s : &t) == TT_OK);
		CHECK(threads == 1 ||
		      !memcmp(&s.score[0].value, &t.score[0].value, sizeof(double)));
		if (threads < 3)
			world_close(&w);
	}
	for (int i = 0; i < TOY_DEV; i++) {
		const float *x = logits + 2 * (ptrdiff_t)i;

		loss += log(exp((double)x[0]) + exp((double)x[1])) -
			(double)x[dataset_example(w.dev, (size_t)i).label];
	}
	CHECK_NEAR(scores_get(&s, "loss"), loss / TOY_DEV, 1e-6);
	CHECK(s.examples == TOY_DEV);
	world_close(&w);
}

int main(void)
{
	if (!CHECK(toy_folder(top, sizeof(top)) != NULL) || !CHECK(world_make(top) == TT_OK))
		return check_done();
	a_run_says_everything();
	threads_do_not_matter();
	who_packs_does_not_matter();
	the_split_does_not_matter();
	nor_does_it_in_batches_of_like_lengths();
	what_matters();
	for (int64_t step = 0; step < STEPS; step += 2)
		stop_and_resume(step, step % 4 == 0);
	stop_and_resume(3, false);
	for (int64_t step = 3; step < STEPS; step += 2)
		kill_and_resume(step);
	kill_and_resume(4);
	stop_between_reports();
	stop_while_evaluating();
	killed_too_early();
	a_damaged_checkpoint_costs_its_steps();
	resume_with_the_written_recipe();
	a_full_disk();
	a_new_learning_rate();
	pausing_and_asking();
	early_stopping();
	the_best_is_kept();
	checkpoints_are_few();
	logging_less();
	how_long();
	the_loss_is_a_mean();
	what_is_drawn_anew();
	clipping();
	what_is_frozen_is_computed_once();
	what_can_be_kept();
	blocks_may_be_built_again();
	it_learns();
	other_tasks();
	hooks_of_a_method();
	looking_first();
	not_a_number();
	what_is_refused();
	evaluation_alone();
	CHECK(fs_remove_tree(top) == TT_OK);
	return check_done();
}
