#ifndef TESTS_UI_CONTEST_H
#define TESTS_UI_CONTEST_H
/* Runs to be held against each other: two methods of some seeds, with recipes, curves and answers. */
#include "tests/ui/stage.h"

enum { CONTEST_SEEDS = 5, CONTEST_ROWS = 12 };

struct contestant {
	const char *name, *peft;
	int64_t seed, trainable;
	double accuracy;   /* at the end */
	const char *right; /* a letter a row: is its answer right? NULL: none are kept */
};

static inline void contest_answers(const char *dir, const char *right)
{
	char path[PATH_MAX];
	struct buf out;

	buf_init(&out, 1 << 20);
	for (int i = 0; right[i]; i++)
		buf_printf(&out,
			   "{\"row\": %d, \"text_a\": \"sentence %d\", \"label\": \"%s\", "
			   "\"predicted\": \"%s\"}\n",
			   i + 1, i + 1, i % 2 ? "positive" : "negative",
			   (i % 2) == (right[i] == 'y') ? "positive" : "negative");
	stage_must(fs_mkdirs(dir));
	snprintf(path, sizeof(path), "%.3000s/predictions.jsonl", dir);
	stage_must(fs_write_atomic(path, out.data, out.size));
	buf_done(&out);
}

static inline void contest_metrics(struct store *st, int64_t row, const struct contestant *p)
{
	enum { STEPS = 60 };
	struct metric m[STEPS + 24];
	size_t n = 0;

	for (int64_t s = 1; s <= STEPS; s++)
		m[n++] = (struct metric){ "train/loss", s,
					  1 - p->accuracy + 0.5 * exp(-(double)s / 15), STAGE_NOW };
	for (int64_t s = 10; s <= STEPS; s += 10) {
		const double left = exp(-(double)s / 15);

		m[n++] = (struct metric){ "eval/accuracy", s,
					  s == 50 ? p->accuracy + 0.01
						  : p->accuracy - 0.3 * left * (s < STEPS),
					  STAGE_NOW };
		m[n++] = (struct metric){ "eval/loss", s, 1.1 - p->accuracy + left, STAGE_NOW };
	}
	m[n++] = (struct metric){ "system/rss_bytes", STEPS, 1e8 + 100 * (double)p->trainable,
				  STAGE_NOW };
	stage_must(metric_batch_add(st, &(struct metric_batch){ .run = row,
								.attempt = 1,
								.metric = m,
								.n = n,
								.step = STEPS,
								.epoch = 1,
								.time_us = STAGE_NOW }));
}

/* Run number n; ret_id holds RUN_ID_SIZE bytes. Answers lie in a folder of `top`. */
static inline int64_t contest_add(struct store *st, const char *top, int n,
				  const struct contestant *p, char *ret_id)
{
	char dir[PATH_MAX], recipe[512];
	int64_t row = 0;
	struct run run = { .id = ret_id,
			   .name = p->name,
			   .method = strchr(p->peft, ':') ? "lora" : "head",
			   .state = RUN_FINISHED,
			   .dir = dir,
			   .metric_key = "eval/accuracy",
			   .best_greater = true,
			   .step = 60,
			   .total_steps = 60,
			   .steps_per_epoch = 60,
			   .created = STAGE_NOW - (100 - n) * INT64_C(60000000),
			   .started = STAGE_NOW - (100 - n) * INT64_C(60000000),
			   .ended = STAGE_NOW - (100 - n) * INT64_C(60000000) +
				    p->trainable * INT64_C(1000),
			   .trainable_params = p->trainable,
			   .total_params = 8702210 };

	run_id_make(ret_id, run.created, (uint32_t)n);
	snprintf(dir, sizeof(dir), "%.200s/runs/%s", top, ret_id);
	snprintf(recipe, sizeof(recipe),
		 "{\"name\": \"%s\", \"peft\": {\"method\": \"%s\"%s}, "
		 "\"train\": {\"seed\": %lld, \"learning_rate\": 0.001}, \"note\": \"%s\"}",
		 p->name, run.method, strchr(p->peft, ':') ? p->peft : "", (long long)p->seed,
		 ret_id);
	stage_must(run_add(st, &run, recipe, &row));
	contest_metrics(st, row, p);
	if (p->right)
		contest_answers(dir, p->right);
	return row;
}

static const double contest_lora[CONTEST_SEEDS] = { 0.81, 0.82, 0.795, 0.813, 0.807 };
static const double contest_head[CONTEST_SEEDS] = { 0.80, 0.80, 0.80, 0.80, 0.80 };

/* Five seeds of either: lora 0.009 better on average, and not on every seed. rows[2 * CONTEST_SEEDS]. */
static inline void contest_fill(const char *db, const char *top, int64_t *ret_rows,
				char (*ret_id)[RUN_ID_SIZE])
{
	struct store *st;
	int n = 0;

	stage_must(store_open(db, &st));
	for (int i = 0; i < CONTEST_SEEDS; i++, n++)
		ret_rows[n] = contest_add(st, top, n,
					  &(struct contestant){ "mr-head", "", 1 + i, 770,
								contest_head[i],
								i ? NULL : "yyyynnnnyyyy" },
					  ret_id[n]);
	for (int i = 0; i < CONTEST_SEEDS; i++, n++)
		ret_rows[n] = contest_add(st, top, n,
					  &(struct contestant){ "mr-lora", ", \"r\": 8", 1 + i,
								37634, contest_lora[i],
								i ? NULL : "nyyyyyyyyyyn" },
					  ret_id[n]);
	store_close(st);
}

#endif
