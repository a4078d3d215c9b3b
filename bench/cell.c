/* One measurement of training: the process that trains, and the one that asks. */
#include "bench/cell.h"

#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "bench/flops.h"
#include "bench/logged.h"
#include "engine/estimate.h"
#include "engine/session.h"
#include "train/feature.h"

enum { STEPS_MOST = 256 };

static const struct {
	const char *name;
	size_t at;
} field[] = {
	{ "wall_seconds", offsetof(struct figures, wall) },
	{ "cpu_seconds", offsetof(struct figures, cpu) },
	{ "pack_seconds", offsetof(struct figures, pack) },
	{ "forward_seconds", offsetof(struct figures, forward) },
	{ "backward_seconds", offsetof(struct figures, backward) },
	{ "rest_seconds", offsetof(struct figures, rest) },
	{ "first_wall_seconds", offsetof(struct figures, first_wall) },
	{ "first_cpu_seconds", offsetof(struct figures, first_cpu) },
	{ "start_seconds", offsetof(struct figures, start) },
	{ "tokens", offsetof(struct figures, tokens) },
	{ "steps", offsetof(struct figures, steps) },
	{ "flops_needed", offsetof(struct figures, flops) },
	{ "gemm_peak", offsetof(struct figures, peak) },
	{ "peak_bytes", offsetof(struct figures, rss) },
	{ "estimate_bytes", offsetof(struct figures, estimate) },
};

static double *field_of(struct figures *f, size_t i) { return (double *)((char *)f + field[i].at); }

void cell_write_figures(const struct figures *f, struct jsonw *w)
{
	struct figures copy = *f;

	for (size_t i = 0; i < COUNT(field); i++) {
		jsonw_key(w, field[i].name);
		jsonw_real(w, *field_of(&copy, i));
	}
}

void cell_read_figures(const struct json *j, struct figures *ret)
{
	for (size_t i = 0; i < COUNT(field); i++) {
		const double x = json_number(json_get(j, field[i].name));

		*field_of(ret, i) = isfinite(x) ? x : 0;
	}
}

/* ---- the process that trains ---- */

struct watch_run {
	struct session s;
	struct trainer t;
	struct step_times times;
	struct sink sink;
	struct runlog *log; /* NULL: nothing is kept of what the run says */
	struct figures f;
	int64_t started_us; /* the process, by the monotonic clock */
	int64_t step_us;
	double step_cpu;
	int at, steps, epochs; /* at: steps done */
	bool paced;            /* another process measures */
	const char *dir;       /* NULL: of the recipe, for what a run leaves behind */
	const char *const *set;
	size_t n_set;
	int features; /* enum feature_mode */
	double wall[STEPS_MOST], cpu[STEPS_MOST];
};

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* VmHWM: the most that was ever resident. */
static double resident_most(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	double kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmHWM:", 6))
			kib = strtod(line + 6, NULL);
	if (f)
		fclose(f);
	return 1024 * kib;
}

static void print_figures(const struct figures *f)
{
	struct buf out;
	struct jsonw w;

	buf_init(&out, 1 << 16);
	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	cell_write_figures(f, &w);
	jsonw_end(&w, '}');
	puts(out.data);
	fflush(stdout);
}

/* All passes are done: the phases of those after the first, as shares of the best. */
static void conclude(struct watch_run *r)
{
	struct figures *f = &r->f;
	const double passes = r->epochs - 1, scale = 1e-6 / passes;
	double all;

	for (int i = 0; i < r->steps; i++) {
		f->wall += r->wall[i];
		f->cpu += r->cpu[i];
	}
	f->pack = scale * (double)r->times.pack_us;
	f->forward = scale * (double)r->times.forward_us;
	f->backward = scale * (double)r->times.backward_us;
	all = f->rest / passes; /* until here: the processor time of these passes */
	all = all > 0 ? f->cpu / all : 0;
	f->pack *= all;
	f->forward *= all;
	f->backward *= all;
	f->rest = f->cpu - f->pack - f->forward - f->backward;
	f->steps = r->steps;
	f->tokens = (double)dataset_tokens(r->s.train);
	print_figures(f);
	_exit(0); /* the checkpoint that would follow is not measured */
}

enum { WIRE = 3 }; /* where a paced process speaks */

/* One pass is over, or none was begun: the next when it is asked for. */
static void wait_for_pass(const struct watch_run *r)
{
	char text[96];
	ssize_t n;

	if (r->at)
		n = snprintf(text, sizeof(text), "done\n");
	else
		n = snprintf(text, sizeof(text), "ready %.0f %.0f %.0f\n",
			     (double)dataset_tokens(r->s.train),
			     (double)method_param_count(r->s.method), r->f.estimate);
	if (write(WIRE, text, (size_t)n) != n || read(WIRE, text, sizeof(text)) <= 0)
		_exit(0);
}

/* Asked before every step. */
static bool step_begins(void *arg)
{
	struct watch_run *r = arg;

	if (r->paced) {
		if (r->at % r->steps == 0)
			wait_for_pass(r);
		return false;
	}
	if (!r->at)
		r->f.start = 1e-6 * (double)(proc_clock_us() - r->started_us);
	else if (r->at % r->steps == 0)
		r->f.peak = fmax(r->f.peak, flops_peak(r->s.model, r->s.pool));
	r->step_us = proc_clock_us();
	r->step_cpu = cpu_now();
	return false;
}

static void step_measured(struct watch_run *r)
{
	const double wall = 1e-6 * (double)(proc_clock_us() - r->step_us);
	const double cpu = cpu_now() - r->step_cpu;
	const int i = r->at % r->steps;

	r->at++;
	if (r->paced)
		return;
	r->f.rest += cpu;
	if (r->at <= r->steps) {
		r->f.first_wall += wall;
		r->f.first_cpu += cpu;
		r->f.rss = resident_most(); /* before the peak of the products is measured */
	}
	if (r->at == r->steps) { /* it warms caches and memory up, and may compute what is kept */
		r->times = (struct step_times){ 0 };
		r->f.rest = 0;
	}
	if (r->at <= 2 * r->steps) {
		r->wall[i] = wall;
		r->cpu[i] = cpu;
	}
	r->wall[i] = fmin(r->wall[i], wall);
	r->cpu[i] = fmin(r->cpu[i], cpu);
	if (r->at == r->steps * r->epochs)
		conclude(r);
}

static void say_metric(void *arg, const char *key, int64_t step, double value)
{
	const struct watch_run *r = arg;
	const struct sink *to = r->log ? runlog_sink(r->log) : NULL;

	if (to)
		to->metric(to->arg, key, step, value);
}

static void say_progress(const struct watch_run *r, int64_t step, double epoch)
{
	const struct sink *to = r->log ? runlog_sink(r->log) : NULL;

	if (to)
		to->progress(to->arg, step, epoch);
}

static void step_ends(void *arg, int64_t step, double epoch)
{
	struct watch_run *r = arg;

	say_progress(r, step, epoch);
	step_measured(r);
}

static int open_all(struct watch_run *r, const char *recipe)
{
	struct session *s = &r->s;
	struct estimate e;
	int rc = session_open(recipe, r->set, r->n_set, s);

	if (!rc)
		rc = session_load(s, true);
	if (!rc)
		rc = session_dataset(s, s->recipe->data.train, false, false, &s->train);
	if (!rc)
		rc = estimate_make(s, &e);
	if (rc)
		return rc;
	session_keep_times(s); /* as a run does, so that the next one starts without */
	r->f.estimate = (double)e.total;
	r->t = (struct trainer){
		.recipe = s->recipe,
		.tokenizer = s->tokenizer,
		.model = s->model,
		.method = s->method,
		.gemm = s->gemm,
		.pool = s->pool,
		.train = s->train,
		.times = &r->times,
		.dir = r->dir ? r->dir : s->recipe->dir,
		.feature_mode = r->features,
	};
	return train_open(&r->t);
}

static int train(struct watch_run *r, const char *recipe)
{
	enum train_end end;
	struct train_plan plan;
	int rc = open_all(r, recipe);

	if (rc)
		return rc;
	plan = train_plan(&r->s.recipe->train, (int64_t)dataset_count(r->s.train));
	r->steps = (int)plan.steps_per_epoch;
	if (r->steps > STEPS_MOST)
		return err_set(TT_INVALID, "a pass has at most %d steps", STEPS_MOST);
	for (int i = 0; i < r->steps; i++) {
		const size_t from = (size_t)(i * plan.window),
			     left = dataset_count(r->s.train) - from;

		r->f.flops += flops_needed(r->s.method, dataset_lengths(r->s.train) + from,
					   left < (size_t)plan.window ? left : (size_t)plan.window);
	}
	r->sink = (struct sink){
		.arg = r, .stop = step_begins, .metric = say_metric, .progress = step_ends
	};
	r->t.sink = &r->sink;
	if (r->s.recipe->train.logging_steps == 1) /* cell.log */
		rc = logged_open(r->t.dir, &r->log);
	if (!rc)
		rc = train_run(&r->t, false, &end);
	return rc ? rc : err_set(TT_INVALID, "the run ended before its last step");
}

void cell_main(int argc, char **argv)
{
	static struct watch_run r;

	if (argc < 5 || strcmp(argv[1], "--cell"))
		return;
	r.epochs = atoi(argv[3]);
	r.started_us = strtoll(argv[4], NULL, 10);
	if (argc > 5) { /* of a recipe that others run, too */
		r.dir = argv[5];
		r.set = (const char *const *)argv + 6;
		r.n_set = (size_t)argc - 6;
		r.features = FEATURES_OFF;
	}
	train(&r, argv[2]); /* comes back only when it failed */
	printf("{\"why\": null}\n%s\n", err_text());
	fflush(stdout);
	_exit(0);
}

void cell_paced_main(int argc, char **argv)
{
	static struct watch_run r = { .paced = true };

	if (argc != 3 || strcmp(argv[1], "--paced"))
		return;
	train(&r, argv[2]); /* comes back only when it failed */
	fprintf(stderr, "%s\n", err_text());
	_exit(1);
}

/* ---- the one that asks ---- */

static void key_text(struct jsonw *w, const char *key, const char *text)
{
	jsonw_key(w, key);
	jsonw_text(w, text);
}

static void key_int(struct jsonw *w, const char *key, int64_t value)
{
	jsonw_key(w, key);
	jsonw_int(w, value);
}

static void key_bool(struct jsonw *w, const char *key, bool value)
{
	jsonw_key(w, key);
	jsonw_bool(w, value);
}

static void write_method(const struct cell *c, struct jsonw *w)
{
	jsonw_object(w);
	key_text(w, "method", c->method);
	if (!strncmp(c->method, "lora", 4) || !strcmp(c->method, "dora") ||
	    !strcmp(c->method, "delta_lora"))
		key_int(w, "r", c->r);
	if (!strcmp(c->method, "prefix"))
		key_int(w, "num_virtual_tokens", 20);
	if (!strcmp(c->method, "delta_lora"))
		key_int(w, "start_steps", 0);
	if (c->top) {
		jsonw_key(w, "layers_to_transform");
		jsonw_array(w);
		jsonw_int(w, c->shape->layers - 2);
		jsonw_int(w, c->shape->layers - 1);
		jsonw_end(w, ']');
	}
	jsonw_end(w, '}');
}

/* A section that cannot be read is null, which the recipe's reader refuses. */
static void write_peft(const struct cell *c, struct jsonw *w)
{
	struct json *j = NULL;

	if (!c->peft) {
		write_method(c, w);
		return;
	}
	if (json_parse(c->peft, strlen(c->peft), &j))
		jsonw_null(w);
	else
		jsonw_json(w, j);
	json_free(j);
}

static void write_recipe(const struct cell *c, struct jsonw *w)
{
	jsonw_object(w);
	key_text(w, "name", "bench");
	key_text(w, "base_model", c->model);
	jsonw_key(w, "task");
	jsonw_object(w);
	key_text(w, "type", "seq_cls");
	jsonw_key(w, "labels");
	jsonw_array(w);
	jsonw_text(w, c->lengths->labels[0]);
	jsonw_text(w, c->lengths->labels[1]);
	jsonw_end(w, ']');
	jsonw_end(w, '}');
	jsonw_key(w, "data");
	jsonw_object(w);
	key_text(w, "train", c->data);
	key_int(w, "max_length", c->lengths->max_length);
	key_int(w, "limit", (int64_t)c->lengths->batch * c->steps);
	key_bool(w, "shuffle", false);
	jsonw_end(w, '}');
	jsonw_key(w, "peft");
	write_peft(c, w);
	jsonw_key(w, "train");
	jsonw_object(w);
	key_int(w, "num_train_epochs", c->epochs);
	key_int(w, "per_device_train_batch_size", c->lengths->batch);
	key_int(w, "save_steps", 1000000);
	key_int(w, "logging_steps", c->log ? 1 : 1000000);
	key_bool(w, "gradient_checkpointing", c->checkpointing);
	key_int(w, "seed", 1);
	if (c->top)
		key_int(w, "dropout", 0);
	jsonw_end(w, '}');
	jsonw_key(w, "compute");
	jsonw_object(w);
	key_int(w, "threads", c->threads);
	key_text(w, "precision", c->precision);
	jsonw_end(w, '}');
	jsonw_end(w, '}');
}

int cell_save(const struct cell *c, const char *path)
{
	struct buf out;
	struct jsonw w;
	int rc;

	buf_init(&out, 1 << 16);
	jsonw_init(&w, &out, 2);
	write_recipe(c, &w);
	rc = buf_check(&out, path);
	if (!rc)
		rc = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return rc;
}

/* A line of figures, or the reason why there are none behind a line without. */
static int read_figures(const struct buf *out, struct figures *ret)
{
	const char *end = memchr(out->data, '\n', out->size);
	struct json *j;
	int rc;

	if (!end)
		return err_set(TT_IO, "the measuring process printed nothing");
	rc = json_parse(out->data, (size_t)(end - out->data), &j);
	if (rc)
		return rc;
	ret->done = json_get(j, field[0].name);
	if (ret->done)
		cell_read_figures(j, ret);
	else
		snprintf(ret->why, sizeof(ret->why), "%.*s", (int)strcspn(end + 1, "\n"), end + 1);
	json_free(j);
	return TT_OK;
}

enum { CELL_WORDS = 24 };

int cell_run_recipe(const struct cell_recipe *how, struct figures *ret)
{
	char self[PATH_MAX], epochs[16], start[32];
	const char *argv[CELL_WORDS] = { self, "--cell", how->path, epochs, start, how->dir };
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct buf out;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (n < 0)
		return err_set(TT_IO, "cannot find this program");
	self[n] = 0;
	for (size_t i = 0; how->dir && i < how->n_set && i + 7 < COUNT(argv); i++)
		argv[i + 6] = how->set[i];
	snprintf(epochs, sizeof(epochs), "%d", how->epochs);
	snprintf(start, sizeof(start), "%lld", (long long)proc_clock_us());
	rc = proc_capture((char *const *)argv, 1 << 16, &out);
	if (rc)
		return rc;
	rc = read_figures(&out, ret);
	buf_done(&out);
	return rc;
}

int cell_run(const char *dir, const struct cell *c, struct figures *ret)
{
	char path[PATH_MAX];
	int rc = fs_join(path, sizeof(path), dir, "recipe.json");

	if (!rc)
		rc = cell_save(c, path);
	return rc ? rc
		  : cell_run_recipe(&(struct cell_recipe){ .path = path, .epochs = c->epochs },
				    ret);
}

double cell_mfu(const struct figures *f) { return f->flops / f->wall / f->peak; }

double cell_mfu_cpu(const struct figures *f, int threads)
{
	return f->flops / f->cpu / (f->peak / threads);
}

const char *cell_method(const struct cell *c, char *ret, size_t size)
{
	snprintf(ret, size, "%s%s%s%s", c->method, c->top ? " top" : "",
		 c->checkpointing ? " gc" : "", c->log ? " log" : "");
	return ret;
}

void cell_write(const struct cell *c, const struct figures *f, struct jsonw *w)
{
	jsonw_object(w);
	key_text(w, "shape", c->shape->name);
	key_text(w, "data", c->lengths->name);
	key_text(w, "method", c->method);
	key_bool(w, "gradient_checkpointing", c->checkpointing);
	key_bool(w, "last_layers", c->top);
	key_bool(w, "run_log", c->log);
	key_text(w, "precision", c->precision);
	key_int(w, "threads", c->threads);
	key_int(w, "batch", c->lengths->batch);
	key_int(w, "r", c->r);
	if (f->done)
		cell_write_figures(f, w);
	else
		key_text(w, "why_not", f->why);
	jsonw_end(w, '}');
}

/* ---- the machine ---- */

static void processor(char *ret, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(ret, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		const char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !value)
			continue;
		snprintf(ret, size, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
		break;
	}
	if (f)
		fclose(f);
}

void cell_write_machine(struct jsonw *w)
{
	char name[128];
	double load = 0;

	processor(name, sizeof(name));
	if (getloadavg(&load, 1) != 1)
		load = NAN;
	jsonw_object(w);
	key_text(w, "processor", name);
	key_int(w, "cores", pool_cores());
	jsonw_key(w, "load");
	jsonw_real(w, load);
	jsonw_end(w, '}');
}

void cell_machine(char *ret, size_t size)
{
	char name[128];
	double load = 0;

	processor(name, sizeof(name));
	if (getloadavg(&load, 1) != 1)
		load = NAN;
	snprintf(ret, size, "%s, %d cores, load %.1f", name, pool_cores(), load);
}

void cell_print_machine(void)
{
	char line[160];

	cell_machine(line, sizeof(line));
	puts(line);
}
