/*
 * Sums of adapters against sums of their steps B A, computed apart in double; the
 * elementwise ways against values worked out by hand from PEFT's definitions.
 */
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/rng.h"
#include "method/arithmetic.h"
#include "method/lora_folder.h"
#include "tests/model/toy.h"

enum { IN = 5, OUT = 4 };

static char top[PATH_MAX];

static const char *path_of(const char *name)
{
	static char path[32][PATH_MAX];
	static int at;

	at = (at + 1) % 32;
	fs_join(path[at], sizeof(path[at]), top, name);
	return path[at];
}

static float *noise(struct arena *a, int64_t n, uint32_t seed)
{
	float *x = arena_alloc(a, (size_t)n * sizeof(*x));
	struct rng r;

	rng_init(&r, seed, RNG_TEST, 0);
	for (int64_t i = 0; i < n; i++)
		x[i] = rng_normal(&r);
	return x;
}

/* An adapter of two modules, the second only when `both`; alpha is three times the rank. */
static const char *make(const char *name, int64_t r, uint32_t seed, bool both)
{
	struct lora_folder f = { .arena = arena_new() };
	struct lora_pair pair[2];
	struct lora_other head = { "base_model.model.classifier.weight", 2, { 2, 3 }, NULL };
	const char *dir = path_of(name);
	char config[512];

	for (uint32_t i = 0; i < 2; i++)
		pair[i] = (struct lora_pair){
			.module = i ? "layer.0.value" : "layer.0.query",
			.r = r,
			.in = IN,
			.out = OUT,
			.a = noise(f.arena, r * IN, seed + i),
			.b = noise(f.arena, r * OUT, seed + 10 + i),
			.c = i ? noise(f.arena, OUT, seed + 20) : NULL,
			.scale = 3,
		};
	head.data = noise(f.arena, 6, seed + 30);
	snprintf(config, sizeof(config),
		 "{\"peft_type\": \"LORA\", \"task_type\": \"SEQ_CLS\", \"lora_dropout\": 0.1, "
		 "\"bias\": \"none\", \"modules_to_save\": [\"classifier\"]}");
	f.pair = pair;
	f.npair = both ? 2 : 1;
	f.other = &head;
	f.nother = 1;
	CHECK(json_parse(config, strlen(config), &f.config) == TT_OK);
	CHECK(lora_folder_write(&f, dir) == TT_OK);
	json_free(f.config);
	arena_free(f.arena);
	return dir;
}

/* ret += by scale B A (and the bias) of a module of a folder; nothing when it is not there. */
static void add_step(const char *dir, const char *module, double by, double *ret)
{
	struct lora_folder *f = NULL;

	if (!CHECK(lora_folder_read(dir, &f) == TT_OK)) {
		printf("# %s\n", err_text());
		return;
	}
	for (size_t i = 0; i < f->npair; i++) {
		const struct lora_pair *p = &f->pair[i];

		if (strcmp(p->module, module) != 0)
			continue;
		for (int64_t o = 0; o < OUT; o++) {
			for (int64_t k = 0; k < IN; k++)
				for (int64_t j = 0; j < p->r; j++)
					ret[o * (IN + 1) + k] += by * p->scale *
								 (double)p->b[o * p->r + j] *
								 (double)p->a[j * IN + k];
			ret[o * (IN + 1) + IN] += p->c ? by * p->scale * (double)p->c[o] : 0;
		}
	}
	lora_folder_free(f);
}

static const char *const modules[] = { "layer.0.query", "layer.0.value" };

/* Is the folder's step the weighted sum of the others'? Returns the largest difference. */
static double off(const char *got, const char *const *dir, const double *weight, size_t n)
{
	double worst = 0;

	for (size_t m = 0; m < COUNT(modules); m++) {
		double want[OUT * (IN + 1)] = { 0 }, have[OUT * (IN + 1)] = { 0 };

		add_step(got, modules[m], 1, have);
		for (size_t i = 0; i < n; i++)
			add_step(dir[i], modules[m], weight[i], want);
		for (size_t i = 0; i < COUNT(want); i++)
			worst = fmax(worst, fabs(want[i] - have[i]));
	}
	return worst;
}

static void exact_sums(void)
{
	const char *dir[] = { make("a", 2, 1, true), make("b", 3, 50, false) };
	const double weight[] = { 0.7, -1.5 }, twice[] = { 2.1, -4.5 };
	struct arithmetic how = { 0 };
	const char *out = path_of("sum");
	struct lora_folder *f = NULL;

	CHECK(arithmetic_parse("cat", &how) == TT_OK);
	CHECK(arithmetic_sum(&how, dir, weight, 2, out) == TT_OK);
	CHECK(off(out, dir, weight, 2) < 1e-5);
	CHECK(lora_folder_read(out, &f) == TT_OK && f->npair == 2 && f->nother == 1);
	CHECK(f->pair[0].r == 5 && f->pair[1].r == 2 && !strcmp(f->pair[0].module, modules[0]));
	CHECK(fabs(f->pair[0].scale - 1) < 1e-12 && fabs(f->pair[1].scale - 1) < 1e-12);
	lora_folder_free(f);
	CHECK(arithmetic_parse("svd", &how) == TT_OK);
	how.r = 4; /* all that a step of 4 x 5 can have */
	CHECK(arithmetic_sum(&how, dir, weight, 2, out) == TT_OK);
	CHECK(off(out, dir, weight, 2) < 1e-5);
	how.peft_svd = true; /* the scale of 3 counts twice; biases have none of it */
	CHECK(arithmetic_sum(&how, dir + 1, weight + 1, 1, out) == TT_OK);
	CHECK(off(out, dir + 1, twice + 1, 1) < 1e-4);
	how = (struct arithmetic){ .how = BLEND_SVD, .r = 1 };
	CHECK(arithmetic_sum(&how, dir, weight, 2, out) == TT_OK &&
	      off(out, dir, weight, 2) > 1e-2);
}

static void a_difference_with_itself_is_nothing(void)
{
	const char *a = make("c", 2, 7, true), *dir[] = { a, a };
	const double weight[] = { 1, -1 }, none[] = { 0, 0 };
	const struct arithmetic how = { .how = BLEND_CAT };

	CHECK(arithmetic_sum(&how, dir, weight, 2, path_of("zero")) == TT_OK);
	CHECK(off(path_of("zero"), dir, none, 2) < 1e-5);
}

/* A' = sum sign sqrt|w s| A, B' = sum sqrt|w s| B. */
static void linear_as_peft(void)
{
	const char *dir[] = { make("d", 2, 3, true), make("e", 2, 90, true) };
	const double weight[] = { 0.5, -2 };
	const struct arithmetic how = { .how = BLEND_LINEAR };
	struct lora_folder *x = NULL, *y = NULL, *z = NULL;
	double worst = 0;

	CHECK(arithmetic_sum(&how, dir, weight, 2, path_of("linear")) == TT_OK);
	CHECK(!lora_folder_read(dir[0], &x) && !lora_folder_read(dir[1], &y) &&
	      !lora_folder_read(path_of("linear"), &z));
	for (int64_t i = 0; z && i < 2 * IN; i++)
		worst = fmax(worst,
			     fabs((double)z->pair[0].a[i] - sqrt(1.5) * (double)x->pair[0].a[i] +
				  sqrt(6.0) * (double)y->pair[0].a[i]));
	for (int64_t i = 0; z && i < 2 * OUT; i++)
		worst = fmax(worst,
			     fabs((double)z->pair[0].b[i] - sqrt(1.5) * (double)x->pair[0].b[i] -
				  sqrt(6.0) * (double)y->pair[0].b[i]));
	CHECK(worst < 1e-5);
	lora_folder_free(x);
	lora_folder_free(y);
	lora_folder_free(z);
	dir[1] = make("b", 3, 50, true);
	CHECK(arithmetic_sum(&how, dir, weight, 2, path_of("linear")) == TT_INVALID &&
	      strstr(err_text(), "has ranks 2 and 3"));
}

/* Factors of rank 1 with given numbers, scale 1. */
static const char *given(const char *name, const float *a, const float *b)
{
	struct lora_folder f = { .arena = arena_new() };
	struct lora_pair pair = { .module = "m", .r = 1, .in = 4, .out = 4, .scale = 1 };
	const char *dir = path_of(name);

	pair.a = arena_alloc(f.arena, 4 * sizeof(float));
	pair.b = arena_alloc(f.arena, 4 * sizeof(float));
	memcpy(pair.a, a, 4 * sizeof(float));
	memcpy(pair.b, b, 4 * sizeof(float));
	f.pair = &pair;
	f.npair = 1;
	CHECK(json_parse("{\"peft_type\": \"LORA\"}", 21, &f.config) == TT_OK);
	CHECK(lora_folder_write(&f, dir) == TT_OK);
	json_free(f.config);
	arena_free(f.arena);
	return dir;
}

static const struct {
	const char *how;
	bool by_frequency;
	double weight[3];
	float want[4];
} elementwise[] = {
	/* the larger half of each: {3,-2,0,0} {-5,0,0,4} {1,0,0,1.5}... worked out in order */
	{ "magnitude_prune", false, { 1, 1, 1 }, { -1, -2, 0, 5.5F } },
	{ "ties", false, { 1, 1, 1 }, { -5, -2, 0, 2.75F } },
	{ "ties", true, { 1, 1, 1 }, { 2, -2, 0, 2.75F } },
	{ "ties", false, { 4, 1, 1 }, { -5, -4, 0, 2.75F } },
};

static void by_element(void)
{
	static const float first[] = { 3, -2, 0.5F, 1 }, second[] = { -5, 1, 0.25F, 4 },
			   third[] = { 1, 0.5F, -0.25F, 1.5F }, one[] = { 1, 1, 1, 1 };
	const char *dir[] = { given("x", first, one), given("y", second, one),
			      given("z", third, one) };

	for (size_t i = 0; i < COUNT(elementwise); i++) {
		struct arithmetic how = { .density = 0.5,
					  .by_frequency = elementwise[i].by_frequency };
		struct lora_folder *f = NULL;
		double worst = 0;

		CHECK(arithmetic_parse(elementwise[i].how, &how) == TT_OK);
		CHECK(arithmetic_sum(&how, dir, elementwise[i].weight, 3, path_of("blend")) ==
		      TT_OK);
		if (!CHECK(lora_folder_read(path_of("blend"), &f) == TT_OK))
			continue;
		for (int k = 0; k < 4; k++)
			worst = fmax(worst, fabs((double)f->pair[0].a[k] -
						 (double)elementwise[i].want[k]));
		if (!CHECK_NAMED(worst < 1e-6, elementwise[i].how))
			printf("# %g %g %g %g\n", (double)f->pair[0].a[0], (double)f->pair[0].a[1],
			       (double)f->pair[0].a[2], (double)f->pair[0].a[3]);
		lora_folder_free(f);
	}
}

/* What is dropped is drawn from the seed; what stays is divided by the density; nothing dropped is linear. */
static void dare(void)
{
	static const float first[] = { 3, -2, 0.5F, 1 }, one[] = { 1, 1, 1, 1 };
	const char *dir[] = { given("x", first, one) };
	const double weight[] = { 1 };
	struct arithmetic how = { .how = BLEND_DARE, .density = 0.5, .seed = 3 };
	struct lora_folder *f = NULL;

	CHECK(arithmetic_sum(&how, dir, weight, 1, path_of("dare")) == TT_OK);
	CHECK(lora_folder_read(path_of("dare"), &f) == TT_OK);
	for (int k = 0; f && k < 4; k++)
		CHECK(f->pair[0].a[k] == 0 || f->pair[0].a[k] == 2 * first[k]);
	lora_folder_free(f);
	how.density = 1;
	CHECK(arithmetic_sum(&how, dir, weight, 1, path_of("dare")) == TT_OK);
	CHECK(lora_folder_read(path_of("dare"), &f) == TT_OK);
	CHECK(f && !memcmp(f->pair[0].a, first, sizeof(first)));
	lora_folder_free(f);
	how = (struct arithmetic){ .how = BLEND_PRUNE, .of_steps = true, .density = 1 };
	CHECK(arithmetic_sum(&how, dir, weight, 1, path_of("dare")) == TT_OK);
}

static const struct {
	const char *config, *why;
} refused[] = {
	{ "{\"peft_type\": \"IA3\"}", "peft_type IA3, and only LORA" },
	{ "{\"r\": 2}", "no peft_type" },
	{ "{\"peft_type\": \"LORA\", \"r\": 2, \"bias\": \"all\"}", "biases of the base model" },
	{ "{\"peft_type\": \"LORA\", \"r\": 2, \"init_lora_weights\": \"pissa\"}",
	  "convert it to plain LoRA first" },
	{ "{\"peft_type\": \"LORA\", \"r\": 2, \"use_dora\": true}", "use_dora is set" },
	{ "{\"peft_type\": \"LORA\", \"r\": 5}", "has rank 2, and the config says 5" },
};

static void what_does_not_add_up(void)
{
	const char *dir[] = { make("good", 2, 5, true) };
	const double weight[] = { 1 };
	const struct arithmetic how = { .how = BLEND_CAT };
	struct arithmetic parsed;
	char path[PATH_MAX];

	fs_join(path, sizeof(path), dir[0], "adapter_config.json");
	for (size_t i = 0; i < COUNT(refused); i++) {
		CHECK(fs_write_atomic(path, refused[i].config, strlen(refused[i].config)) == TT_OK);
		if (!CHECK_NAMED(arithmetic_sum(&how, dir, weight, 1, path_of("none")) < 0 &&
					 strstr(err_text(), refused[i].why),
				 refused[i].why))
			printf("# %s\n", err_text());
	}
	CHECK(!fs_exists(path_of("none")));
	CHECK(arithmetic_parse("sum", &parsed) == TT_INVALID && strstr(err_text(), "cat, svd"));
}

int main(void)
{
	if (!CHECK(toy_folder(top, sizeof(top)) != NULL))
		return check_done();
	exact_sums();
	a_difference_with_itself_is_nothing();
	linear_as_peft();
	by_element();
	dare();
	what_does_not_add_up();
	fs_remove_tree(top);
	return check_done();
}
