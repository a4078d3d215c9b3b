/*
 * Every method of the registry on a toy BERT, held to what it claims: starts at
 * the base, trains something, computes right gradients, learns eight rows, comes
 * back from its adapter bit for bit, and folds into the model.
 *
 * Gradients: hidden size 8 in fp32, steps of 3e-3: central differences of the
 * logits agree to about 1e-3 of the largest gradient of a tensor; 1e-2 is asked.
 * Where gradients are small beside the sum of many outputs, rounding needs a
 * larger step, and a kink nearby a smaller one; a wrong gradient is wrong at any.
 */
#include "tests/method/adapters.h"

#include "base/array.h"

static const int tasks[] = { TASK_SEQ_CLS, TASK_REGRESSION, TASK_MLM };

struct trial {
	const struct method_ops *ops;
	const char *json;
	int task;
	char what[120];
};

static bool has_head(const struct trial *t) { return t->task != TASK_MLM; }

/* Random first values are asked for. */
static bool starts_elsewhere(const struct trial *t)
{
	return strstr(t->json, "\"init_ia3_weights\": false");
}

static void starts_at_base(const struct trial *t)
{
	/* a step that was taken out of the base comes back to it but for rounding */
	const bool moved = strstr(t->json, "pissa") || strstr(t->json, "olora");
	struct bench b;
	float *before, *after;
	int64_t n = 0;

	if (!t->ops->starts_at_base || starts_elsewhere(t))
		return;
	CHECK_NAMED(bench_model(&b, t->task) == TT_OK, t->what);
	before = bench_logits(&b, &n);
	CHECK_NAMED(bench_attach(&b, t->ops->name, t->json, t->task, 42) == TT_OK, t->what);
	after = bench_logits(&b, &n);
	CHECK_NAMED(before && after && bench_same(before, after, n, moved ? 1e-5 : 0), t->what);
	free(before);
	free(after);
	bench_close(&b);
}

/* Everything listed trains, no name twice, and what does not train has not been touched. */
static void lists_what_trains(const struct trial *t)
{
	struct bench b;
	int64_t trains = 0;
	bool good = true;

	CHECK_NAMED(bench_open(&b, t->ops->name, t->json, t->task) == TT_OK, t->what);
	CHECK_NAMED(method_param_count(b.method) > 0, t->what);
	for (size_t i = 0; i < b.method->nparam; i++) {
		good = good && b.method->param[i]->trainable && b.method->param[i]->needs;
		for (size_t k = 0; k < i; k++)
			good = good &&
			       strcmp(b.method->param[i]->name, b.method->param[k]->name) != 0;
	}
	CHECK_NAMED(good, t->what);
	for (size_t i = 0; i < b.model->nparam; i++)
		trains += b.model->param[i]->trainable ? tensor_count(b.model->param[i]) : 0;
	trains += method_extra_count(b.method) - b.method->fixed_counted;
	CHECK_NAMED(trains == method_param_count(b.method), t->what);
	bench_close(&b);
}

static void gradients_agree(const struct trial *t)
{
	struct bench b;
	static const double step[] = { 3e-3, 1e-2, 2e-2, 3e-2 };
	double error = INFINITY;

	CHECK_NAMED(bench_open(&b, t->ops->name, t->json, t->task) == TT_OK, t->what);
	bench_shake(&b, 0.1f);
	for (size_t i = 0; i < COUNT(step) && !(error < 1e-2); i++)
		error = bench_gradcheck(&b, step[i]);
	if (!CHECK_NAMED(error < 1e-2, t->what))
		printf("# error %g %s\n", error, error < 1e9 ? "" : err_text());
	bench_close(&b);
}

/* Blocks that are built again in backward: the loss and the gradients have the same bits. */
static void may_be_built_again(const struct trial *t)
{
	struct bench b;
	double kept;
	float *grad;
	size_t at = 0;
	bool same = true;

	CHECK_NAMED(bench_open(&b, t->ops->name, t->json, t->task) == TT_OK, t->what);
	bench_shake(&b, 0.1f);
	kept = bench_loss(&b);
	grad = malloc((size_t)method_param_count(b.method) * sizeof(*grad));
	for (size_t i = 0; grad && i < b.method->nparam; i++) {
		const size_t n = (size_t)tensor_count(b.method->param[i]);

		memcpy(grad + at, b.method->param[i]->grad, n * sizeof(*grad));
		at += n;
	}
	b.recompute = true;
	CHECK_NAMED(grad && bench_loss(&b) == kept, t->what);
	at = 0;
	for (size_t i = 0; grad && i < b.method->nparam; i++) {
		const size_t n = (size_t)tensor_count(b.method->param[i]);

		same = same && !memcmp(grad + at, b.method->param[i]->grad, n * sizeof(*grad));
		at += n;
	}
	CHECK_NAMED(same, t->what);
	free(grad);
	bench_close(&b);
}

/* Does the head give every row its own label? */
static bool learned(struct bench *b)
{
	int64_t n, right = 0;
	float *y = bench_logits(b, &n);

	for (int i = 0; y && i < BENCH_ROWS; i++)
		right += (y[2 * i + 1] > y[2 * i]) == (b->batch.label[i] == 1);
	free(y);
	return right == BENCH_ROWS;
}

/*
 * What of the loss may be left. A masked-language head and a lone value are not
 * fitted by every method; they must get nearer. Rows before the text, with
 * everything else as it is, move that head by some hundredths alone.
 */
static double share_left(const struct trial *t, const struct method *m)
{
	if (t->task == TASK_SEQ_CLS)
		return 0.15;
	return t->task == TASK_MLM && m->nsite == 1 && m->site[0]->kind & SITE_INPUT ? 0.97 : 0.85;
}

static void learns_eight_rows(const struct trial *t)
{
	struct bench b;
	double first, loss, share;

	CHECK_NAMED(bench_open(&b, t->ops->name, t->json, t->task) == TT_OK, t->what);
	share = share_left(t, b.method);
	first = loss = bench_loss(&b) - b.penalty;
	for (int i = 0; i < 800 && loss > share * first; i++)
		loss = bench_train(&b, 0.02) - b.penalty;
	if (!CHECK_NAMED(loss <= share * first, t->what))
		printf("# loss %g, first %g\n", loss, first);
	if (t->task == TASK_SEQ_CLS)
		CHECK_NAMED(learned(&b), t->what);
	bench_close(&b);
}

static void comes_back(const struct trial *t)
{
	struct bench a, b;
	char dir[PATH_MAX];
	bool same = true;
	float *live, *loaded;
	int64_t n = 0;

	CHECK_NAMED(bench_open(&a, t->ops->name, t->json, t->task) == TT_OK, t->what);
	CHECK_NAMED(!bench_model(&b, t->task) &&
			    !bench_attach(&b, t->ops->name, t->json, t->task, 43),
		    t->what);
	bench_shake(&a, 0.2f);
	snprintf(dir, sizeof(dir), "%.4000s/adapter", a.dir);
	if (t->ops->saves_model) {
		CHECK_NAMED(adapter_save(a.method, dir, "toy") == TT_INVALID, t->what);
		CHECK_NAMED(adapter_load(b.method, dir) == TT_INVALID, t->what);
	} else {
		CHECK_NAMED(adapter_save(a.method, dir, "toy") == TT_OK, t->what);
		if (!CHECK_NAMED(adapter_load(b.method, dir) == TT_OK, t->what))
			printf("# %s\n", err_text());
		for (size_t i = 0; !t->ops->stores_result && i < a.method->nparam; i++)
			same = same &&
			       !memcmp(a.method->param[i]->data, b.method->param[i]->data,
				       (size_t)tensor_count(a.method->param[i]) * sizeof(float));
		CHECK_NAMED(same, t->what);
		live = bench_logits(&a, &n);
		loaded = bench_logits(&b, &n);
		CHECK_NAMED(live && loaded && bench_same(live, loaded, n, 0), t->what);
		free(live);
		free(loaded);
	}
	bench_close(&a);
	bench_close(&b);
}

static void merges(const struct trial *t)
{
	struct bench b;
	float *live, *merged;
	int64_t n = 0;

	CHECK_NAMED(bench_open(&b, t->ops->name, t->json, t->task) == TT_OK, t->what);
	bench_shake(&b, 0.1f);
	live = bench_logits(&b, &n);
	/* what the catalogue says of it */
	CHECK_NAMED(*t->json == '[' ||
			    method_mergeable(b.method) ==
				    (!t->ops->seated && (t->ops->merge || !t->ops->wants)),
		    t->what);
	if (!method_mergeable(b.method)) {
		CHECK_NAMED(method_merge(b.method) == TT_INVALID, t->what);
	} else if (t->task != TASK_MLM || !strstr(t->json, "word_embeddings")) {
		/* a step on tied embeddings does not merge, which test_lora.c holds to */
		CHECK_NAMED(method_merge(b.method) == TT_OK, t->what);
		merged = bench_logits(&b, &n);
		CHECK_NAMED(live && merged && bench_same(live, merged, n, 1e-5), t->what);
		for (size_t i = 0; i < b.model->nsite; i++) {
			if (b.model->site[i].hooks)
				CHECK_NAMED(false, "no site keeps a hook");
		}
		free(merged);
	}
	free(live);
	bench_close(&b);
}

static void count_keys(void *arg, const char *key, double value)
{
	int *n = arg;

	*n += !strncmp(key, "method/", 7) && isfinite(value) ? 1 : -1000;
}

/* After an evaluation, as in a run: a panel may be about what that has seen. */
static void is_watched(const struct trial *t)
{
	struct bench b;
	int64_t logits;
	int n = 0;
	const struct watch out = { .metric = count_keys, .arg = &n };

	CHECK_NAMED(bench_open(&b, t->ops->name, t->json, t->task) == TT_OK, t->what);
	bench_shake(&b, 0.1f);
	free(bench_logits(&b, &logits));
	if (t->ops->watch) {
		stage_watch(b.method, &out);
		CHECK_NAMED(n > 0 && n < 40, t->what);
	}
	bench_close(&b);
}

static void try_all(const struct method_ops *ops, const char *json)
{
	for (size_t i = 0; i < COUNT(tasks); i++) {
		struct trial t = { .ops = ops, .json = json, .task = tasks[i] };

		/*
		 * the head alone needs a head, and modules_to_save of these rows
		 * name the classifier's pooler; only classes have names
		 */
		if (!has_head(&t) && (!strcmp(ops->name, "head") || strstr(json, "pooler")))
			continue;
		if (tasks[i] != TASK_SEQ_CLS && strstr(json, "CLASS_LABELS"))
			continue;
		snprintf(t.what, sizeof(t.what), "%s %.60s on %s", ops->name, json,
			 recipe_task_name(tasks[i]));
		starts_at_base(&t);
		lists_what_trains(&t);
		gradients_agree(&t);
		may_be_built_again(&t);
		learns_eight_rows(&t);
		comes_back(&t);
		merges(&t);
		is_watched(&t);
	}
}

static void speaks_for_itself(const struct method_ops *ops)
{
	CHECK_NAMED(ops->title && *ops->title && ops->cite && *ops->cite && ops->peft_type,
		    ops->name);
	CHECK_NAMED(!ops->wants == !ops->attach, ops->name);
	CHECK_NAMED(ops->saves_model || (ops->config && ops->agrees), ops->name);
	CHECK_NAMED(!ops->seated || (!ops->wants && !ops->merge), ops->name);
	for (const struct knob *k = ops->knobs; k->name; k++)
		CHECK_NAMED(k->help && *k->help && k->at < ops->settings_size, k->name);
}

int main(void)
{
	CHECK(adapters_make() == TT_OK);
	for (const struct method_ops *const *ops = method_all(); *ops; ops++) {
		speaks_for_itself(*ops);
		CHECK_NAMED(method_has_row((*ops)->name), (*ops)->name);
	}
	for (size_t i = 0; i < METHOD_ROWS; i++) {
		const struct method_ops *ops = method_find(method_rows[i].method);

		if (CHECK_NAMED(ops != NULL, method_rows[i].method))
			try_all(ops, method_rows[i].json);
	}
	return bench_done();
}
