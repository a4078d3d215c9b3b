/* Times the backends once a machine, and keeps the figures in a file. */
#include "tensor/gemm_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"

/*
 * Rows: enough to show what a backend can, few enough for milliseconds; the best of some repetitions counts. Of a
 * longer side SIDE_TIMED is timed: a first run waits for it, and what is longer runs alike.
 */
enum {
	ROWS = 64,
	REPEATS = 2,
	SIDE_TIMED = 768,
	BACKENDS = 4,
	ENTRIES = 256,
	FILE_MAX = 1 << 18,
	SIDE_MAX = 1 << 24
};

struct entry {
	int64_t out, in; /* at most SIDE_TIMED */
	enum gemm_side side;
	double gflops[BACKENDS]; /* in the order of gemm_all */
	double numbers;          /* of the weights that were asked for since opening */
};

struct gemm_times {
	char processor[128], libraries[512];
	struct entry entry[ENTRIES];
	size_t n;
	bool changed;
};

static const char *const sides[] = { [GEMM_FORWARD] = "forward", [GEMM_BACKWARD] = "backward" };

/* ---- the machine ---- */

static void processor_name(char *ret, size_t size)
{
	char line[512];
	FILE *f = fopen("/proc/cpuinfo", "r");

	snprintf(ret, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (!colon || strncmp(line, "model name", 10) != 0)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(ret, size, "%.*s", (int)strcspn(colon, "\n"), colon);
		break;
	}
	if (f)
		fclose(f);
}

static void library_names(char *ret, size_t size)
{
	size_t at = 0;

	ret[0] = 0;
	for (int i = 0; gemm_all()[i] && at < size; i++)
		at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? "; " : "",
				       gemm_all()[i]->version());
}

/* ---- the file ---- */

static bool text_is(const struct json *object, const char *key, const char *want)
{
	const char *text = json_text(json_get(object, key));

	return text && !strcmp(text, want);
}

static bool read_size(const struct json *object, const char *key, int64_t *ret)
{
	const struct json *j = json_get(object, key);

	return j && json_int(j, ret) && *ret >= 1 && *ret <= SIDE_MAX;
}

static bool read_entry(const struct json *j, struct entry *ret)
{
	const struct json *gflops = json_get(j, "gflops");
	const bool backward = text_is(j, "side", sides[GEMM_BACKWARD]);

	*ret = (struct entry){ .side = backward ? GEMM_BACKWARD : GEMM_FORWARD };
	if (!read_size(j, "out", &ret->out) || !read_size(j, "in", &ret->in) || !gflops ||
	    (!backward && !text_is(j, "side", sides[GEMM_FORWARD])))
		return false;
	for (int i = 0; gemm_all()[i]; i++) {
		const struct json *v = json_get(gflops, gemm_all()[i]->name);

		ret->gflops[i] = v ? json_number(v) : NAN;
		if (!(ret->gflops[i] > 1e-6 && ret->gflops[i] < 1e9))
			return false;
	}
	return true;
}

/* All or nothing. */
static void read_file(struct gemm_times *t, const struct json *root)
{
	const struct json *products = json_get(root, "products");

	if (!text_is(root, "processor", t->processor) ||
	    !text_is(root, "libraries", t->libraries) || !products ||
	    json_type(products) != JSON_ARRAY)
		return;
	for (const struct json *j = json_first(products); j; j = json_next(j)) {
		if (t->n == ENTRIES || !read_entry(j, &t->entry[t->n])) {
			t->n = 0;
			return;
		}
		t->n++;
	}
}

int gemm_times_open(const char *path, struct gemm_times **ret)
{
	struct gemm_times *t = calloc(1, sizeof(*t));
	struct json *root = NULL;

	if (!t)
		return err_set(TT_NOMEM, "not enough memory for the timings of matrix products");
	processor_name(t->processor, sizeof(t->processor));
	library_names(t->libraries, sizeof(t->libraries));
	if (fs_exists(path) && !json_load(path, FILE_MAX, &root))
		read_file(t, root);
	json_free(root);
	*ret = t;
	return TT_OK;
}

void gemm_times_free(struct gemm_times *t) { free(t); }

int gemm_times_save(const struct gemm_times *t, const char *path)
{
	struct jsonw w;
	struct buf out;
	int code;

	if (!t->changed)
		return TT_OK;
	buf_init(&out, FILE_MAX);
	jsonw_init(&w, &out, 1);
	jsonw_object(&w);
	jsonw_key(&w, "processor");
	jsonw_text(&w, t->processor);
	jsonw_key(&w, "libraries");
	jsonw_text(&w, t->libraries);
	jsonw_key(&w, "products");
	jsonw_array(&w);
	for (size_t i = 0; i < t->n; i++) {
		const struct entry *e = &t->entry[i];

		jsonw_object(&w);
		jsonw_key(&w, "out");
		jsonw_int(&w, e->out);
		jsonw_key(&w, "in");
		jsonw_int(&w, e->in);
		jsonw_key(&w, "side");
		jsonw_text(&w, sides[e->side]);
		jsonw_key(&w, "gflops");
		jsonw_object(&w);
		for (int k = 0; gemm_all()[k]; k++) {
			jsonw_key(&w, gemm_all()[k]->name);
			jsonw_real(&w, fmax(round(e->gflops[k] * 10) / 10, 0.1));
		}
		jsonw_end(&w, '}');
		jsonw_end(&w, '}');
	}
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
	buf_char(&out, '\n');
	code = buf_check(&out, path);
	if (!code)
		code = fs_write_atomic(path, out.data, out.size);
	buf_done(&out);
	return code;
}

/* ---- timing ---- */

/* Of this thread alone, so that a busy machine counts less. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct trial {
	struct arena *arena;
	struct tensor w;
	float *x, *y;
	int64_t from, to; /* columns of x and y */
};

static int trial_time(const struct trial *t, const char *backend, enum gemm_side side,
		      double *ret_gflops)
{
	const struct arena_mark mark = arena_mark(t->arena);
	const struct prepared *p;
	struct gemm *gm;
	double best = INFINITY;
	int code = gemm_open(backend, &gm);

	if (code)
		return code;
	code = gemm_prepare(gm, t->arena, &t->w, side, &p);
	for (int i = 0; !code && i <= REPEATS; i++) {
		const double start = now();

		gemm_prepared(gm, p, ROWS, t->x, t->from, 0, t->y, t->to);
		best = i ? fmin(best, now() - start) : best; /* the first one warms up */
	}
	if (!code)
		*ret_gflops = 2e-9 * ROWS * (double)(t->from * t->to) / fmax(best, 1e-9);
	arena_rewind(t->arena, mark);
	gemm_close(gm);
	return code;
}

static int entry_time(struct entry *e)
{
	struct trial t = { .arena = arena_new(),
			   .w = { .name = "a trial", .rank = 2, .dim = { e->out, e->in } } };
	int code = TT_OK;

	if (!t.arena)
		return err_set(TT_NOMEM, "not enough memory to time matrix products");
	t.from = e->side == GEMM_FORWARD ? e->in : e->out;
	t.to = e->side == GEMM_FORWARD ? e->out : e->in;
	t.w.data = arena_zero(t.arena, (size_t)(e->in * e->out), sizeof(float));
	t.x = arena_zero(t.arena, (size_t)(ROWS * t.from), sizeof(float));
	t.y = arena_zero(t.arena, (size_t)(ROWS * t.to), sizeof(float));
	if (!t.w.data || !t.x || !t.y)
		code = TT_NOMEM;
	for (int64_t i = 0; !code && i < e->in * e->out; i++)
		t.w.data[i] = 0.5f;
	for (int64_t i = 0; !code && i < ROWS * t.from; i++)
		t.x[i] = 0.25f;
	for (int i = 0; !code && gemm_all()[i]; i++)
		code = trial_time(&t, gemm_all()[i]->name, e->side, &e->gflops[i]);
	arena_free(t.arena);
	return code;
}

static struct entry *find(struct gemm_times *t, const struct entry *like)
{
	for (size_t i = 0; i < t->n; i++) {
		struct entry *e = &t->entry[i];

		if (e->out == like->out && e->in == like->in && e->side == like->side)
			return e;
	}
	return NULL;
}

int gemm_times_add(struct gemm_times *t, int64_t out, int64_t in, enum gemm_side side)
{
	const struct entry like = { .out = out < SIDE_TIMED ? out : SIDE_TIMED,
				    .in = in < SIDE_TIMED ? in : SIDE_TIMED,
				    .side = side };
	struct entry *e = find(t, &like);
	int code;

	if (!e &&
	    t->n == ENTRIES) /* a table of many models is full: the shapes that it knows decide */
		return TT_OK;
	if (!e) {
		e = &t->entry[t->n];
		*e = like;
		code = entry_time(e);
		if (code)
			return code;
		t->n++;
		t->changed = true;
	}
	e->numbers += (double)out * (double)in;
	return TT_OK;
}

const char *gemm_times_best(const struct gemm_times *t)
{
	double sum[BACKENDS] = { 0 };
	int best = 0;

	for (size_t i = 0; i < t->n; i++)
		for (int k = 0; gemm_all()[k]; k++)
			sum[k] += t->entry[i].numbers / t->entry[i].gflops[k];
	for (int k = 1; gemm_all()[k]; k++)
		if (sum[k] < 0.8 * sum[0] && sum[k] < sum[best])
			best = k;
	return gemm_all()[best]->name;
}
