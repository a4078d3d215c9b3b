/*
 * Arrays of methods: any two either work together, training, saved and loaded, or
 * the second is refused with a sentence that says what both want.
 */
#include "tests/method/adapters.h"

#include "base/array.h"
#include "tensor/kernel.h"

struct pair {
	const char *first, *second; /* methods */
	char json[1024], what[200];
};

/* The settings of a method's first row that is no array. */
static const char *settings_of(const char *method)
{
	for (size_t i = 0; i < METHOD_ROWS; i++) {
		if (!strcmp(method_rows[i].method, method) && *method_rows[i].json == '{')
			return method_rows[i].json;
	}
	return NULL;
}

static struct pair pair_of(const char *first, const char *second)
{
	struct pair p = { .first = first, .second = second };

	snprintf(p.json, sizeof(p.json), "[\"%s\", %s, \"%s\", %s]", first, settings_of(first),
		 second, settings_of(second));
	snprintf(p.what, sizeof(p.what), "%s with %s", first, second);
	return p;
}

/* One optimizer step changes something of each part. */
static void both_train(struct bench *b, const struct pair *p)
{
	const struct method *m = b->method;
	bool moved[2] = { false };

	for (int k = 0; k < 3; k++)
		CHECK_NAMED(isfinite(bench_train(b, 0.01)), p->what);
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < m->part[i]->nparam; k++)
			moved[i] = moved[i] ||
				   kernel_sum_squares(m->part[i]->param[k]->grad,
						      tensor_count(m->part[i]->param[k])) > 0;
		CHECK_NAMED(moved[i], p->what);
	}
}

static void comes_back(struct bench *a, const struct pair *p)
{
	char dir[PATH_MAX + 16];
	float *live, *loaded;
	struct bench b;
	int64_t n;

	snprintf(dir, sizeof(dir), "%s/adapter", a->dir);
	if (!CHECK_NAMED(adapter_save(a->method, dir, "toy") == TT_OK, p->what))
		printf("# %s\n", err_text());
	live = bench_logits(a, &n);
	CHECK_NAMED(bench_open(&b, "", p->json, TASK_SEQ_CLS) == TT_OK, p->what);
	if (!CHECK_NAMED(adapter_load(b.method, dir) == TT_OK, p->what))
		printf("# %s\n", err_text());
	loaded = bench_logits(&b, &n);
	CHECK_NAMED(live && loaded && bench_same(live, loaded, n, 1e-6), p->what);
	free(live);
	free(loaded);
	bench_close(&b);
}

/* What the first has is what the second wants, and the sentence says where it is. */
static bool says_why(const char *text)
{
	return !strncmp(text, "peft.", 5) && strchr(text, '\'') &&
	       (strstr(text, "already carries a method, '") || strstr(text, ": another method ") ||
		strstr(text, "trains, so method 'dora' cannot"));
}

static void try_pair(const struct pair *p)
{
	struct bench b;
	const int code = bench_open(&b, "", p->json, TASK_SEQ_CLS);

	if (!code) {
		both_train(&b, p);
		comes_back(&b, p);
	} else if (!CHECK_NAMED(code == TT_INVALID && says_why(err_text()), p->what)) {
		printf("# %s\n", err_text());
	}
	bench_close(&b);
}

static void any_two(void)
{
	for (const struct method_ops *const *a = method_all(); *a; a++) {
		for (const struct method_ops *const *b = method_all(); *b; b++) {
			const struct pair p = pair_of((*a)->name, (*b)->name);

			if (!(*a)->saves_model && !(*b)->saves_model)
				try_pair(&p);
		}
	}
}

static const struct {
	const char *json, *says; /* NULL: they go together */
} some[] = {
	{ "[\"mam\", {\"num_virtual_tokens\": 2, \"bottleneck_size\": 2}, \"lora\", {}]", NULL },
	{ "[\"bitfit\", {}, \"unipelt\", {\"num_virtual_tokens\": 2}]", NULL },
	{ "[\"prompt\", {\"num_virtual_tokens\": 2}, \"prefix\", {\"num_virtual_tokens\": 2}]",
	  NULL },
	{ "[\"adapter\", {}, \"ia3\", {}]", NULL },
	{ "[\"adapter\", {\"leave_out\": 0}, \"adapter\", {\"leave_out\": 1}]", NULL },
	{ "[\"prefix\", {\"num_virtual_tokens\": 2}, \"lora\", {}, \"mam\", {}]",
	  "peft.2: 'bert.encoder.layer.0.attention.self' already carries a method, 'prefix', and a "
	  "place takes one only" },
	{ "[\"mam\", {}, \"adapter\", {}]",
	  "peft.1: 'bert.encoder.layer.0.output' already carries a method, 'adapter', and a place "
	  "takes one only" },
	{ "[\"diff_pruning\", {}, \"bitfit\", {}]",
	  "peft.1: 'bert.embeddings.LayerNorm.bias' cannot train by method 'bitfit': another "
	  "method "
	  "makes it" },
};

static void some_arrays(void)
{
	for (size_t i = 0; i < COUNT(some); i++) {
		struct bench b;
		const int code = bench_open(&b, "", some[i].json, TASK_SEQ_CLS);

		CHECK_NAMED(code == (some[i].says ? TT_INVALID : TT_OK), some[i].json);
		if (some[i].says)
			CHECK_STR(err_text(), some[i].says);
		bench_close(&b);
	}
}

int main(void)
{
	CHECK(adapters_make() == TT_OK);
	any_two();
	some_arrays();
	return bench_done();
}
