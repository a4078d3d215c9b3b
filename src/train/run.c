/*
 * One run, from its first step or from a checkpoint to its end.
 *
 * Everything happens at step boundaries, and what is due there follows from the
 * state alone: first the evaluation, then the checkpoint, then what the person
 * asks for, then the next step. So a run that is killed or stopped anywhere
 * and resumed does again what it had not finished, and ends with the same bits.
 */
#include "train/train.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "data/order.h"
#include "train/checkpoint.h"
#include "method/stages.h"
#include "train/feature.h"
#include "train/optim.h"
#include "train/prime.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/usage.h"

/* While paused: how long to wait for a command before looking at the stop flag again. */
static const int64_t pause_look_us = 100000;

struct run {
	struct trainer *t;
	const struct train_settings *how;
	struct train_plan plan;
	struct schedule schedule;
	struct checkpoint at; /* where the run is */
	struct checkpoint_parts parts;
	int64_t saved;      /* step of the last checkpoint written, -1: none */
	char dir[PATH_MAX]; /* of the checkpoints */
	const char *metric;
	struct order {
		struct arena *arena;
		int64_t *row, epoch; /* the rows of that epoch, in order; -1: none yet */
	} order[2];                  /* this epoch's and the next one's */
	bool told_to_stop, paused;
	struct usage usage;
	int64_t tokens, busy_us; /* since the last logged step, for the speed alone */
};

/* ---- speaking to the sink ---- */

static void say_metric(const struct run *r, const char *key, double value)
{
	const struct sink *s = r->t->sink;

	if (s && s->metric)
		s->metric(s->arg, key, r->at.step, value);
}

static void say_event(const struct run *r, const char *kind, const char *text)
{
	const struct sink *s = r->t->sink;

	if (s && s->event)
		s->event(s->arg, r->at.step, kind, text);
}

static void say_progress(const struct run *r)
{
	const struct sink *s = r->t->sink;

	if (s && s->progress)
		s->progress(s->arg, r->at.step, r->at.epoch);
}

static bool sink_stops(const struct run *r)
{
	const struct sink *s = r->t->sink;

	return s && s->stop && s->stop(s->arg);
}

/* ---- what decides the numbers ---- */

static void fingerprint_settings(const struct trainer *t, struct jsonw *w)
{
	const struct recipe *r = t->recipe;

	knob_write(recipe_task_knobs(), &r->task, w);
	if (r->prompt) {
		jsonw_key(w, "prompt");
		jsonw_json(w, r->prompt);
	}
	knob_write(recipe_train_knobs(), &r->train, w);
	jsonw_key(w, "shuffle");
	jsonw_bool(w, r->data.shuffle);
	jsonw_key(w, "group_by_length");
	jsonw_bool(w, r->data.group_by_length);
	jsonw_key(w, "rows");
	jsonw_int(w, (int64_t)dataset_count(t->train));
	jsonw_key(w, "tokens");
	jsonw_int(w, dataset_tokens(t->train));
	for (size_t i = 0; i < r->n_peft; i++) {
		if (!r->peft[i].method)
			continue;
		jsonw_key(w, r->peft[i].name);
		jsonw_object(w);
		knob_write(r->peft[i].method->knobs, r->peft[i].settings, w);
		jsonw_end(w, '}');
	}
}

/* Settings that change what is computed; not names, paths, threads or what is logged where. */
static int fingerprint(const struct trainer *t, uint64_t *ret)
{
	struct jsonw w;
	struct buf text;
	int rc;

	buf_init(&text, 1 << 24);
	jsonw_init(&w, &text, 0);
	jsonw_object(&w);
	fingerprint_settings(t, &w);
	jsonw_end(&w, '}');
	rc = buf_check(&text, "the settings");
	if (!rc)
		*ret = hash_bytes(HASH_START, text.data, text.size);
	buf_done(&text);
	return rc;
}

/* ---- evaluation and checkpoints ---- */

static bool ended(const struct run *r)
{
	return r->at.step >= r->plan.total_steps ||
	       (r->how->early_stopping_patience != KNOB_NONE &&
		r->at.since_best >= r->how->early_stopping_patience);
}

static bool due(const struct run *r, int64_t every)
{
	if (r->at.step >= r->plan.total_steps) /* without a step too: the model as it is */
		return true;
	return r->at.step > 0 && r->at.step % (every ? every : r->plan.steps_per_epoch) == 0;
}

static void watch_metric(void *arg, const char *key, double value) { say_metric(arg, key, value); }

static void watch_alarm(void *arg, const char *text) { say_event(arg, "alarm", text); }

static int evaluate(struct run *r, struct scores *ret)
{
	struct method *m = r->t->method;
	const struct watch watch = {
		.metric = watch_metric, .arg = r, .alarm = watch_alarm, .step = r->at.step
	};
	char key[160];
	const int rc = train_eval(r->t, r->t->validation, ret);

	if (rc)
		return rc;
	for (int i = 0; i < ret->n; i++) {
		snprintf(key, sizeof(key), "eval/%s", ret->score[i].name);
		if (isfinite(ret->score[i].value))
			say_metric(r, key, ret->score[i].value);
		else
			log_line("step %lld: %s is not defined for these answers",
				 (long long)r->at.step, key);
	}
	stage_watch(m, &watch);
	return TT_OK;
}

/* What a run says of each row at its end is worth keeping: two runs can be compared by it. */
static void say_answers(const struct run *r, const struct scores *s)
{
	if (r->t->ends_with)
		r->t->ends_with(r->t->ends_with_arg, s);
}

/* Is it the best so far? An undefined value never is. */
static void judge(struct run *r, const struct scores *s)
{
	const double value = scores_get(s, r->metric);
	const struct sink *sink = r->t->sink;
	char key[64];

	if (isnan(value) ||
	    (r->at.best_step >= 0 &&
	     (metric_greater_is_better(r->metric) ? value <= r->at.best : value >= r->at.best))) {
		r->at.since_best++;
		return;
	}
	r->at.best = value;
	r->at.best_step = r->at.step;
	r->at.since_best = 0;
	snprintf(key, sizeof(key), "eval/%s", r->metric);
	if (sink && sink->best)
		sink->best(sink->arg, key, r->at.step, value);
}

static int save(struct run *r)
{
	const struct sink *sink = r->t->sink;
	char text[64];
	int rc;

	if (sink && sink->settle)
		sink->settle(sink->arg);
	rc = checkpoint_write(r->dir, &r->at, &r->parts);
	if (rc)
		return rc;
	r->saved = r->at.step;
	snprintf(text, sizeof(text), "step %lld", (long long)r->at.step);
	say_event(r, "checkpoint", text);
	return checkpoint_prune(r->dir, r->how->save_total_limit, r->at.best_step);
}

/* What the boundary after a step asks for by itself. TT_STOPPED: told to stop while evaluating. */
static int boundary(struct run *r)
{
	struct scores s;
	int rc;

	if (r->t->validation && due(r, r->how->eval_steps) && r->at.evaluated != r->at.step) {
		rc = evaluate(r, &s);
		if (rc)
			return rc;
		r->at.evaluated = r->at.step;
		r->saved = -1; /* a checkpoint from before does not know of it */
		judge(r, &s);
		if (ended(r))
			say_answers(r, &s);
		if (r->at.step < r->plan.total_steps && ended(r))
			say_event(r, "early_stopping", r->metric);
	}
	if (r->saved == r->at.step)
		return TT_OK;
	if (due(r, r->how->save_steps) || (r->at.step > 0 && ended(r)) ||
	    (r->how->load_best_model_at_end && r->at.best_step == r->at.step))
		return save(r);
	return TT_OK;
}

/* ---- commands ---- */

static void answer(const struct run *r, const struct train_command *c, const char *text)
{
	const struct sink *s = r->t->sink;

	if (s && s->answer)
		s->answer(s->arg, c, text);
}

static void set_paused(struct run *r, bool yes)
{
	const struct sink *s = r->t->sink;

	if (r->paused == yes)
		return;
	r->paused = yes;
	say_event(r, yes ? "paused" : "resumed", "");
	if (s && s->paused)
		s->paused(s->arg, yes);
}

static void set_learning_rate(struct run *r, double rate, char *ret_text, size_t size)
{
	char text[64];

	if (!isfinite(rate) || rate < 0) {
		snprintf(ret_text, size, "refused: a learning rate is a number from 0 on");
		return;
	}
	snprintf(text, sizeof(text), "%.9g to %.9g", r->at.learning_rate, rate);
	r->at.learning_rate = rate;
	say_event(r, "learning_rate", text);
	snprintf(ret_text, size, "the base learning rate is %.9g from step %lld on", rate,
		 (long long)r->at.step + 1);
}

/* A checkpoint that a person asked for: when it fails the run goes on, as nothing is lost. */
static void save_now(struct run *r, char *ret_text, size_t size)
{
	if (save(r))
		snprintf(ret_text, size, "failed: %.400s", err_text());
	else
		snprintf(ret_text, size, "checkpoint of step %lld", (long long)r->at.step);
}

/*
 * Reported, but it neither names the best nor counts for early stopping: asking must
 * not change the run.
 */
static void evaluate_now(struct run *r, char *ret_text, size_t size)
{
	struct scores s;

	if (!r->t->validation)
		snprintf(ret_text, size, "refused: the recipe has no data.validation");
	else if (evaluate(r, &s))
		snprintf(ret_text, size, "failed: %.400s", err_text());
	else
		snprintf(ret_text, size, "eval/%s %.6g at step %lld", r->metric,
			 scores_get(&s, r->metric), (long long)r->at.step);
}

static void obey(struct run *r, const struct train_command *c)
{
	char text[512] = "done";

	switch (c->verb) {
	case TRAIN_PAUSE:
		set_paused(r, true);
		snprintf(text, sizeof(text), "paused after step %lld", (long long)r->at.step);
		break;
	case TRAIN_RESUME: set_paused(r, false); break;
	case TRAIN_STOP:
		r->told_to_stop = true;
		snprintf(text, sizeof(text), "stopping after step %lld", (long long)r->at.step);
		break;
	case TRAIN_SET_LEARNING_RATE: set_learning_rate(r, c->value, text, sizeof(text)); break;
	case TRAIN_CHECKPOINT: save_now(r, text, sizeof(text)); break;
	case TRAIN_EVAL_NOW: evaluate_now(r, text, sizeof(text)); break;
	}
	answer(r, c, text);
}

/* Do what was asked for; while paused, wait here. */
static void listen(struct run *r)
{
	const struct sink *s = r->t->sink;
	struct train_command c;

	for (;;) {
		if (r->told_to_stop || sink_stops(r)) {
			r->told_to_stop = true;
			break;
		}
		if (s && s->command && s->command(s->arg, &c, r->paused ? pause_look_us : 0))
			obey(r, &c);
		else if (!r->paused)
			break;
	}
	if (r->told_to_stop)
		set_paused(r, false);
}

/* ---- steps ---- */

static int order_of(struct run *r, int64_t epoch, struct order **ret)
{
	const struct order_options how = {
		.n = dataset_count(r->t->train),
		.seed = (uint64_t)r->how->seed,
		.epoch = epoch,
		.shuffle = r->t->recipe->data.shuffle,
		.group_by_length = r->t->recipe->data.group_by_length,
		.length = dataset_lengths(r->t->train),
		.batch = r->plan.window, /* not the micro-batch: that must not change a bit */
	};
	struct order *o = &r->order[epoch & 1];
	struct arena *next = r->order[~epoch & 1].arena;
	int rc = TT_OK;

	if (o->epoch != epoch) {
		arena_rewind(o->arena, (struct arena_mark){ 0, 0 });
		rc = order_epoch(o->arena, &how, &o->row);
		if (!rc && !arena_bytes(next)) /* now, and not when the epoch ends */
			rc = arena_reserve(next, arena_reached(o->arena));
	}
	o->epoch = rc ? -1 : epoch;
	*ret = o;
	return rc;
}

/* The rows of a step, which lie there until an epoch later. */
static int window_of(struct run *r, int64_t step, struct window *ret)
{
	const int64_t rows = (int64_t)dataset_count(r->t->train),
		      epoch = (step - 1) / r->plan.steps_per_epoch;
	const int64_t from = (step - 1) % r->plan.steps_per_epoch * r->plan.window;
	struct order *o;
	const int rc = order_of(r, epoch, &o);

	if (rc)
		return rc;
	*ret = (struct window){
		.row = o->row + from,
		.n = (size_t)(rows - from < r->plan.window ? rows - from : r->plan.window),
		.step = step,
		.epoch = epoch,
	};
	return TT_OK;
}

static int check_finite(const char *what, double value, int64_t step)
{
	if (isfinite(value))
		return TT_OK;
	return err_set(TT_INVALID, "%s is %s at step %lld; a lower train.learning_rate often helps",
		       what, isnan(value) ? "NaN" : "infinite", (long long)step);
}

/* From gradients to new parameters. */
static int update(struct run *r, int64_t step, double rate, double *ret_norm)
{
	struct method *m = r->t->method;
	const double norm = optim_norm(r->t->optim, r->t->pool);
	const double by = r->how->max_grad_norm > 0 ? fmin(1, r->how->max_grad_norm / (norm + 1e-6))
						    : 1;
	int rc = check_finite("the gradient's norm", norm, step);

	if (rc)
		return rc;
	if (by < 1)
		optim_scale(r->t->optim, r->t->pool, by);
	rc = stage_update(m, step);
	if (rc)
		return rc;
	optim_step(r->t->optim, r->t->pool, rate, step);
	*ret_norm = norm;
	return stage_done(m, step);
}

/* Values of one step; the loss is the mean over the steps since the last report. */
static void report(struct run *r, double norm, double rate)
{
	double rss, cpu;

	if (r->at.loss_steps)
		say_metric(r, "train/loss", r->at.loss_sum / (double)r->at.loss_steps);
	say_metric(r, "train/grad_norm", norm);
	say_metric(r, "train/learning_rate", rate);
	say_metric(r, "train/epoch", r->at.epoch);
	if (r->busy_us > 0)
		say_metric(r, "train/tokens_per_second",
			   (double)r->tokens * 1e6 / (double)r->busy_us);
	if (usage_look(&r->usage, &rss, &cpu)) {
		say_metric(r, "system/rss_bytes", rss);
		say_metric(r, "system/cpu_percent", cpu);
	}
	r->at.loss_sum = 0;
	r->at.loss_steps = 0;
	r->tokens = 0;
	r->busy_us = 0;
}

/* The state moves on only when the whole step has succeeded. */
static void advance(struct run *r, const struct window *w, const struct gradients *g)
{
	const int64_t rows = (int64_t)dataset_count(r->t->train);
	const int64_t used = (w->step - 1) % r->plan.steps_per_epoch * r->plan.window +
			     (int64_t)w->n;

	r->at.step = w->step;
	r->at.epoch = (double)w->step / (double)r->plan.steps_per_epoch;
	r->at.cursor = used % rows;
	if (g->rows) {
		r->at.loss_sum += g->loss;
		r->at.loss_steps++;
	}
	r->tokens += g->tokens;
}

static int step(struct run *r)
{
	const double rate = r->at.learning_rate * schedule_factor(&r->schedule, r->at.step);
	const int64_t start = proc_clock_us();
	const bool more = r->at.step + 1 < r->plan.total_steps;
	struct gradients g;
	struct window w, next;
	double norm = 0;
	int rc = window_of(r, r->at.step + 1, &w);

	if (!rc && more)
		rc = window_of(r, r->at.step + 2, &next);
	if (!rc)
		rc = step_gradients(r->t, &w, more ? &next : NULL, &g);
	if (!rc)
		rc = check_finite("loss", g.loss, w.step);
	if (!rc)
		rc = update(r, w.step, rate, &norm);
	if (rc)
		return rc;
	advance(r, &w, &g);
	r->busy_us += proc_clock_us() - start;
	if (r->at.step % (r->how->logging_steps > 0 ? r->how->logging_steps : 1) == 0 ||
	    r->at.step == r->plan.total_steps)
		report(r, norm, rate);
	say_progress(r);
	return TT_OK;
}

/* ---- the run ---- */

static struct checkpoint_parts parts_of(const struct trainer *t)
{
	return (struct checkpoint_parts){ t->method->param, t->method->nparam, t->method->kept,
					  t->optim };
}

/* What trains in the run that goes on may be less than what trained at its start. */
static int restore_ties(struct run *r)
{
	struct method *m = r->t->method;
	const struct checkpoint_parts kept = { .kept = m->kept };
	struct checkpoint c;
	int rc;

	if (!stage_reties(m))
		return TT_OK;
	rc = checkpoint_read(r->dir, CHECKPOINT_LAST, &kept, &c);
	if (!rc)
		rc = stage_retie(m);
	if (!rc)
		rc = train_relist(r->t);
	r->parts = parts_of(r->t);
	return rc;
}

static int begin(struct run *r, bool resume)
{
	char text[64];
	int rc = fingerprint(r->t, &r->at.recipe);

	if (rc)
		return rc;
	if (!resume) {
		rc = checkpoint_start(r->dir);
		if (!rc)
			rc = prime_run(r->t);
		r->parts = parts_of(r->t);
		return rc;
	}
	rc = restore_ties(r);
	if (!rc)
		rc = checkpoint_resume(r->dir, r->at.recipe, &r->parts, &r->at);
	if (!rc)
		rc = stage_restored(r->t->method);
	if (rc)
		return rc;
	r->saved = r->at.step;
	snprintf(text, sizeof(text), "from the checkpoint of step %lld", (long long)r->at.step);
	say_event(r, "continued", text);
	say_progress(r);
	return TT_OK;
}

/*
 * With load_best_model_at_end the run ends with the best weights, and the last
 * evaluation speaks of them.
 */
static int finish(struct run *r)
{
	const struct checkpoint_parts best = { r->parts.param, r->parts.n, r->parts.kept, NULL };
	struct checkpoint c;
	struct scores s;
	char text[64];
	int rc;

	if (!r->how->load_best_model_at_end || r->at.best_step < 0 || r->at.best_step == r->at.step)
		return TT_OK;
	rc = checkpoint_read(r->dir, r->at.best_step, &best, &c);
	if (!rc)
		rc = stage_restored(r->t->method);
	if (rc)
		return err_in("the best weights cannot be restored");
	snprintf(text, sizeof(text), "restored from step %lld", (long long)r->at.best_step);
	say_event(r, "best", text);
	rc = evaluate(r, &s);
	if (!rc)
		say_answers(r, &s);
	return rc;
}

static int loop(struct run *r, enum train_end *ret)
{
	for (;;) {
		int rc = boundary(r);

		if (rc && rc != TT_STOPPED)
			return rc;
		if (!rc && ended(r)) {
			rc = finish(r);
			if (!rc)
				*ret = TRAIN_FINISHED;
			if (rc != TT_STOPPED)
				return rc;
		}
		r->told_to_stop = r->told_to_stop || rc == TT_STOPPED;
		listen(r);
		if (r->told_to_stop) {
			rc = rc && r->saved == r->at.step ? TT_OK : save(r);
			if (!rc)
				*ret = TRAIN_WAS_STOPPED;
			return rc;
		}
		rc = step(r);
		if (rc)
			return rc;
	}
}

/* What the frozen layers make of the examples is kept while the run lasts. */
static int open_features(struct trainer *t)
{
	int rc = features_new(t, t->train, true, t->dir, &t->train_features);

	if (!rc && t->validation)
		rc = features_new(t, t->validation, false, t->dir, &t->validation_features);
	return rc;
}

static void close_features(struct trainer *t)
{
	features_free(t->train_features);
	features_free(t->validation_features);
	t->train_features = t->validation_features = NULL;
}

int train_run(struct trainer *t, bool resume, enum train_end *ret)
{
	struct run r = {
		.t = t,
		.how = &t->recipe->train,
		.plan = train_plan(&t->recipe->train, (int64_t)dataset_count(t->train)),
		.at = { .learning_rate = t->recipe->train.learning_rate,
			.evaluated = -1,
			.best_step = -1,
			.best = NAN },
		.parts = parts_of(t),
		.saved = -1,
		.metric = train_metric(t->recipe),
		.order = { { arena_new(), NULL, -1 }, { arena_new(), NULL, -1 } },
	};
	int rc = r.order[0].arena && r.order[1].arena
			 ? fs_join(r.dir, sizeof(r.dir), t->dir, "checkpoints")
			 : err_set(TT_NOMEM, "not enough memory for a run");

	r.schedule = (struct schedule){
		.type = r.how->lr_scheduler_type,
		.warmup = r.plan.warmup_steps,
		.total = r.plan.total_steps,
		.start = r.how->learning_rate,
	};
	usage_start(&r.usage);
	step_forget(t);
	if (!rc)
		rc = begin(&r, resume);
	if (!rc)
		rc = open_features(t);
	if (!rc)
		rc = loop(&r, ret);
	close_features(t);
	arena_free(r.order[0].arena);
	arena_free(r.order[1].arena);
	return rc;
}
