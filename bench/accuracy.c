/*
 * Does bf16 learn as well as fp32? Each recipe is trained with the same seeds in
 * both, everything else alike, and the final accuracies are compared seed by seed.
 * Usage:
 *
 *     bench/accuracy [--seeds N] [--threads N] [--points X] [--json FILE] RECIPE...
 *
 * RECIPE is a file, or a name that `trimtab recipes` lists. Beside a built trimtab;
 * the runs are kept in a data home below $TMPDIR until the end. Accuracy is that of
 * the last evaluation. Exit status 1 when the mean of some recipe is behind or ahead
 * by more than X points (1) of a hundred. What the trainers say goes to stderr.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/proc.h"

enum { SEEDS_MAX = 100, RECIPES_MAX = 20, FP32 = 0, BF16 = 1 };

static const char *const precisions[] = { "fp32", "bf16" };

struct settings {
	const char *recipe[RECIPES_MAX];
	int recipes, seeds, threads;
	double points;
	const char *json;
	char trimtab[PATH_MAX];
};

/* How a run ends: accuracy in points of a hundred, and the loss, which shows that two differ. */
struct ending {
	double accuracy, loss;
};

struct trial {
	struct ending end[2][SEEDS_MAX];
	double mean[2], spread[2];
	double ahead, error; /* mean of bf16 - fp32 over seeds, and its standard error */
};

/* ---- runs ---- */

/* The last evaluation of a run, from the document that `trimtab run --json` prints. */
static int read_ending(const struct buf *text, struct ending *ret)
{
	const struct json *metrics;
	struct json *doc;
	int rc = json_parse(text->data, text->size, &doc);

	if (rc)
		return rc;
	metrics = json_get(doc, "metrics");
	ret->accuracy = 100 * json_number(json_get(metrics, "eval/accuracy"));
	ret->loss = json_number(json_get(metrics, "eval/loss"));
	json_free(doc);
	return isnan(ret->accuracy) ? err_set(TT_NOTFOUND, "the run has no eval/accuracy") : TT_OK;
}

static int train(const struct settings *s, const char *recipe, const char *precision, int seed,
		 struct ending *ret)
{
	char set[3][40], run[] = "run", json[] = "--json", option[] = "--set";
	char program[PATH_MAX], file[PATH_MAX];
	struct buf out;
	int rc;

	snprintf(set[0], sizeof(set[0]), "train.seed=%d", seed);
	snprintf(set[1], sizeof(set[1]), "compute.precision=%s", precision);
	snprintf(set[2], sizeof(set[2]), "compute.threads=%d", s->threads);
	snprintf(program, sizeof(program), "%s", s->trimtab);
	snprintf(file, sizeof(file), "%s", recipe);
	rc = proc_capture((char *[]){ program, run, file, option, set[0], option, set[1], option,
				      set[2], json, NULL },
			  1 << 20, &out);
	if (!rc) {
		rc = read_ending(&out, ret);
		buf_done(&out);
	}
	return rc ? err_in("%s with seed %d in %s", recipe, seed, precision) : TT_OK;
}

/* ---- figures ---- */

/* ret_spread: the standard deviation, of a sample. */
static double mean_of(const double *x, int n, double *ret_spread)
{
	double sum = 0, squares = 0;

	for (int i = 0; i < n; i++)
		sum += x[i];
	for (int i = 0; i < n; i++)
		squares += (x[i] - sum / n) * (x[i] - sum / n);
	*ret_spread = n > 1 ? sqrt(squares / (n - 1)) : 0;
	return sum / n;
}

static void conclude(struct trial *t, int seeds)
{
	double ahead[SEEDS_MAX], value[SEEDS_MAX], spread;

	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < seeds; i++)
			value[i] = t->end[k][i].accuracy;
		t->mean[k] = mean_of(value, seeds, &t->spread[k]);
	}
	for (int i = 0; i < seeds; i++)
		ahead[i] = t->end[BF16][i].accuracy - t->end[FP32][i].accuracy;
	t->ahead = mean_of(ahead, seeds, &spread);
	t->error = spread / sqrt(seeds);
}

static void print_seed(const char *recipe, int seed, const struct ending *a, const struct ending *b)
{
	printf("%-24s %4d %8.2f %8.2f %8.2f | %8.4f %8.4f\n", recipe, seed, a->accuracy,
	       b->accuracy, b->accuracy - a->accuracy, a->loss, b->loss);
	fflush(stdout);
}

static int try_recipe(const struct settings *s, const char *recipe, struct trial *t)
{
	for (int i = 0; i < s->seeds; i++) {
		for (int k = 0; k < 2; k++) {
			const int rc = train(s, recipe, precisions[k], i + 1, &t->end[k][i]);

			if (rc)
				return rc;
		}
		print_seed(recipe, i + 1, &t->end[FP32][i], &t->end[BF16][i]);
	}
	conclude(t, s->seeds);
	printf("%-24s mean %8.2f %8.2f %8.2f | standard error %.2f, %s %.1f points\n", recipe,
	       t->mean[FP32], t->mean[BF16], t->ahead, t->error,
	       fabs(t->ahead) <= s->points ? "within" : "NOT within", s->points);
	printf("%-24s s.d. %8.2f %8.2f\n", "", t->spread[FP32], t->spread[BF16]);
	return TT_OK;
}

/* ---- JSON ---- */

static void key_real(struct jsonw *w, const char *key, double v)
{
	jsonw_key(w, key);
	jsonw_real(w, v);
}

static void write_endings(const struct ending *e, int seeds, struct jsonw *w)
{
	jsonw_array(w);
	for (int i = 0; i < seeds; i++) {
		jsonw_object(w);
		jsonw_key(w, "seed");
		jsonw_int(w, i + 1);
		key_real(w, "accuracy", e[i].accuracy);
		key_real(w, "loss", e[i].loss);
		jsonw_end(w, '}');
	}
	jsonw_end(w, ']');
}

static void write_trial(const char *recipe, const struct trial *t, int seeds, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_key(w, "recipe");
	jsonw_text(w, recipe);
	for (int k = 0; k < 2; k++) {
		jsonw_key(w, precisions[k]);
		jsonw_object(w);
		key_real(w, "mean", t->mean[k]);
		key_real(w, "standard_deviation", t->spread[k]);
		jsonw_key(w, "runs");
		write_endings(t->end[k], seeds, w);
		jsonw_end(w, '}');
	}
	key_real(w, "difference", t->ahead);
	key_real(w, "standard_error", t->error);
	jsonw_end(w, '}');
}

static int write_json(const struct settings *s, const struct trial *t)
{
	struct jsonw w;
	struct buf out;
	int rc;

	buf_init(&out, 1 << 20);
	jsonw_init(&w, &out, 2);
	jsonw_object(&w);
	jsonw_key(&w, "recipes");
	jsonw_array(&w);
	for (int i = 0; i < s->recipes; i++)
		write_trial(s->recipe[i], &t[i], s->seeds, &w);
	jsonw_end(&w, ']');
	jsonw_end(&w, '}');
	buf_text(&out, "\n");
	rc = buf_check(&out, "the figures");
	if (!rc)
		rc = fs_write_atomic(s->json, out.data, out.size);
	buf_done(&out);
	return rc;
}

/* ---- the program ---- */

/* Beside this program's folder: build/bench/accuracy and build/trimtab. */
static int find_trimtab(const char *self, char *ret, size_t size)
{
	char path[PATH_MAX], *slash;

	if (!realpath(self, path))
		return err_set(TT_IO, "cannot find %s: %s", self, strerror(errno));
	for (int i = 0; i < 2; i++) {
		slash = strrchr(path, '/');
		if (slash)
			*slash = 0;
	}
	return fs_join(ret, size, path, "trimtab");
}

static int run(const struct settings *s, bool *ret_within)
{
	static struct trial t[RECIPES_MAX];

	*ret_within = true;
	printf("%-24s %4s %8s %8s %8s | %8s %8s\n", "recipe: accuracy, loss", "seed", "fp32",
	       "bf16", "more", "fp32", "bf16");
	for (int i = 0; i < s->recipes; i++) {
		const int rc = try_recipe(s, s->recipe[i], &t[i]);

		if (rc)
			return rc;
		*ret_within &= fabs(t[i].ahead) <= s->points;
	}
	return s->json ? write_json(s, t) : TT_OK;
}

static bool read_arguments(int argc, char **argv, struct settings *s)
{
	int i = 1;

	for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
		if (!strcmp(argv[i], "--seeds"))
			s->seeds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--threads"))
			s->threads = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--points"))
			s->points = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--json"))
			s->json = argv[i + 1];
		else
			return false;
	}
	for (; i < argc && s->recipes < RECIPES_MAX && argv[i][0] != '-'; i++)
		s->recipe[s->recipes++] = argv[i];
	return i == argc && s->recipes && s->seeds >= 1 && s->seeds <= SEEDS_MAX && s->threads >= 1;
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	struct settings s = { .seeds = 5, .threads = 1, .points = 1 };
	char home[PATH_MAX];
	bool within = false;
	int rc;

	if (!read_arguments(argc, argv, &s)) {
		fprintf(stderr, "usage: accuracy [--seeds N] [--threads N] [--points X] "
				"[--json FILE] RECIPE...\n");
		return 2;
	}
	snprintf(home, sizeof(home), "%s/trimtab-accuracy-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	rc = mkdtemp(home) && !setenv("TRIMTAB_HOME", home, 1)
		     ? find_trimtab(argv[0], s.trimtab, sizeof(s.trimtab))
		     : err_set(TT_IO, "cannot make the folder %s", home);
	if (!rc)
		rc = run(&s, &within);
	fs_remove_tree(home);
	if (rc)
		fprintf(stderr, "accuracy: %s\n", err_text());
	return rc || !within;
}
