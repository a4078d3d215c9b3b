/*
 * LoRA-drop on a toy of four layers: importance against plain sums, who shares by
 * it, gradients that come from all layers, and adapter files that tell of it.
 */
#include "tests/method/bench.h"

#include "base/array.h"
#include "method/lora_drop.h"
#include "model/safetensors.h"

enum { LAYERS = 4, SITES = 2 * LAYERS };

/* Sites are query, value of layer 0, then of layer 1, ... */
static size_t query(size_t layer) { return 2 * layer; }
static size_t value(size_t layer) { return 2 * layer + 1; }

static int deep_folder(void)
{
	if (!toy_folder(bench_base, sizeof(bench_base)))
		return err_set(TT_IO, "no temporary folder");
	return toy_bert(bench_base, LAYERS, 8, 2, 12, BENCH_VOCAB, BENCH_LABELS, 11);
}

/* ---- a trainer of one batch ---- */

struct desk {
	struct bench b;
	double plain[SITES]; /* |s B A x|^2 over the rows, number by number */
	int64_t rows, steps, visited;
	double rate;
};

static struct desk *watched; /* whose hooks look along */

static size_t number_of(const struct method *m, const struct site *s)
{
	size_t i = 0;

	while (m->site[i] != s)
		i++;
	return i;
}

static const struct hooks *real;

static struct tensor *spy(struct graph *g, struct site *s, struct tensor *x)
{
	const struct lowrank *l = s->state;

	for (int64_t n = 0; n < tensor_rows(x); n++) {
		for (int64_t o = 0; o < l->step.b->dim[0]; o++) {
			double y = 0;

			for (int64_t k = 0; k < l->r; k++)
				for (int64_t i = 0; i < l->step.a->dim[1]; i++)
					y += (double)l->step.b->data[o * l->r + k] *
					     (double)l->step.a->data[k * 8 + i] *
					     (double)x->data[n * 8 + i];
			watched->plain[number_of(watched->b.method, s)] += l->scale * y * l->scale *
									   y;
		}
	}
	return real->linear(g, s, x);
}

static const struct hooks spies = { .linear = spy };

static int probe_step(void *arg, const int64_t *row, size_t n, double rate)
{
	struct desk *d = arg;

	for (size_t i = 0; i < n; i++)
		CHECK(row[i] >= 0 && row[i] < d->rows);
	d->steps++;
	d->rate = rate;
	return isfinite(bench_train(&d->b, rate)) ? TT_OK : TT_INVALID;
}

static int probe_visit(void *arg, const int64_t *row, size_t n)
{
	struct desk *d = arg;
	float *y;
	int64_t count;

	(void)row;
	d->visited += (int64_t)n;
	CHECK(d->b.model->whole_rows);
	watched = d;
	real = d->b.method->site[0]->hooks;
	for (size_t i = 0; i < SITES; i++)
		d->b.method->site[i]->hooks = &spies;
	y = bench_logits(&d->b, &count);
	for (size_t i = 0; i < SITES; i++)
		d->b.method->site[i]->hooks = real;
	free(y);
	return y ? TT_OK : TT_INVALID;
}

static int prime(struct desk *d, double rate)
{
	const struct probe p = { .rows = d->rows,
				 .window = 4,
				 .rate = rate,
				 .step = probe_step,
				 .visit = probe_visit,
				 .arg = d };

	return stage_prime(d->b.method, &p);
}

/* A method that knows nothing of the rows yet. */
static int unseeing(struct bench *b, const char *json, uint64_t seed)
{
	const int code = bench_model(b, TASK_SEQ_CLS);

	return code ? code : bench_plug(b, "lora_drop", json, TASK_SEQ_CLS, seed);
}

static bool desk_open(struct desk *d, const char *json, int64_t rows)
{
	const int code = unseeing(&d->b, json, 42);

	if (code)
		printf("# %s\n", err_text());
	d->rows = rows;
	d->steps = d->visited = 0;
	memset(d->plain, 0, sizeof(d->plain));
	return CHECK_NAMED(code == TT_OK, json);
}

/* ---- looking at the data ---- */

/* 10 of 30 rows, in steps of 4: 3 steps an epoch. */
static void importance_is_the_size_of_the_step(void)
{
	struct desk d;
	double sum[2] = { 0 };
	float *before, *after;
	int64_t n = 0;

	desk_open(&d, "{\"r\": 3, \"lora_alpha\": 6, \"sample_ratio\": 0.33, \"sample_epochs\": 2}",
		  30);
	before = bench_logits(&d.b, &n);
	CHECK(prime(&d, 0.02) == TT_OK);
	CHECK(d.steps == 6 && d.visited == 10 && d.rate == 0.02);
	CHECK(!d.b.model->whole_rows);
	for (size_t i = 0; i < SITES; i++)
		sum[i % 2] += d.plain[i];
	for (size_t i = 0; i < SITES; i++)
		CHECK_NEAR(drop_at(d.b.method, i)->place->data[PLACE_SHARE],
			   d.plain[i] / sum[i % 2], 1e-5);
	/* and everything starts anew */
	after = bench_logits(&d.b, &n);
	CHECK(before && after && bench_same(before, after, n, 0));
	free(before);
	free(after);
	bench_close(&d.b);
}

static void a_step_that_never_moved_is_refused(void)
{
	struct desk d;

	desk_open(&d, "{}", 8);
	CHECK(prime(&d, 0) == TT_INVALID && strstr(err_text(), "is zero after training") != NULL);
	bench_close(&d.b);
}

/* ---- who shares ---- */

static const struct {
	const char *json;
	double query[LAYERS]; /* g, and who uses whose step then */
	size_t place[LAYERS];
} places[] = {
	{ "{\"threshold\": 0.5}", { 1, 5, 2, 2 }, { 0, 1, 0, 0 } },
	{ "{\"threshold\": 0.6}", { 1, 5, 2, 2 }, { 0, 1, 2, 0 } }, /* of equals the first */
	{ "{\"threshold\": 0.8}", { 1, 5, 2, 2 }, { 0, 1, 2, 3 } }, /* one left over has its own */
	{ "{\"threshold\": 0.01}", { 4, 3, 2, 9 }, { 0, 0, 0, 3 } },
	{ "{\"threshold\": 1}", { 1, 1, 1, 1 }, { 0, 1, 2, 3 } },
	/* another rank does not share */
	{ "{\"threshold\": 0.5, \"rank_pattern\": {\"layer.2.*query\": 2}}",
	  { 1, 5, 2, 2 },
	  { 0, 1, 2, 0 } },
};

static void share_by_importance(void)
{
	for (size_t c = 0; c < COUNT(places); c++) {
		struct desk d;
		struct method *m;
		int64_t whole;

		desk_open(&d, places[c].json, 8);
		m = d.b.method;
		whole = method_param_count(m);
		for (size_t i = 0; i < LAYERS; i++) {
			drop_at(m, query(i))->sum = places[c].query[i];
			drop_at(m, value(i))->sum = i ? 1 : 1e6; /* the first is all */
		}
		CHECK_NAMED(drop_place(m) == TT_OK, places[c].json);
		for (size_t i = 0; i < LAYERS; i++) {
			const struct lowrank *l = drop_lowrank(m, query(i));
			const struct drop *of = drop_at(m, query(places[c].place[i]));
			const bool own = places[c].place[i] == i;

			CHECK_NAMED(l->step.a == of->factor[0] && l->step.b == of->factor[1],
				    places[c].json);
			CHECK_NAMED(drop_at(m, query(i))->factor[0]->trainable == own,
				    places[c].json);
			whole -= own ? 0 : 2 * 8 * l->r;
		}
		/* the three other values share one, unless every layer is to have its own */
		whole -= strstr(places[c].json, "\"threshold\": 1}") ? 0 : 2 * 2 * 8 * 8;
		CHECK_NAMED(method_param_count(m) == whole, places[c].json);
		CHECK_NAMED(method_extra_count(m) == whole - 2 * 8 - 2, places[c].json);
		CHECK_NAMED(drop_tie(m) == TT_OK && method_param_count(m) == whole, places[c].json);
		bench_close(&d.b);
	}
}

/* Layers 0, 2 and 3 share a query's step, 1, 2 and 3 a value's. */
static void share(struct bench *b)
{
	struct method *m = b->method;

	for (size_t i = 0; i < LAYERS; i++) {
		drop_at(m, query(i))->sum = i == 1 ? 9 : 1;
		drop_at(m, value(i))->sum = i ? 1 : 9;
	}
	CHECK(drop_place(m) == TT_OK);
	CHECK(bench_relist(b) == TT_OK);
}

static const char shared[] =
	"{\"threshold\": 0.5, \"r\": 2, \"lora_alpha\": 6, \"lora_bias\": true}";

static void gradients_come_from_all_layers(void)
{
	struct desk d;
	double error, first, loss;

	desk_open(&d, shared, 8);
	share(&d.b);
	CHECK(d.b.method->nparam == 4 * 3 + 2);
	bench_shake(&d.b, 0.1f);
	error = bench_gradcheck(&d.b, 3e-3);
	if (!CHECK(error < 1e-2))
		printf("# error %g\n", error);
	first = loss = bench_loss(&d.b);
	for (int i = 0; i < 400; i++)
		loss = bench_train(&d.b, 0.02);
	CHECK(loss < 0.5 * first);
	bench_close(&d.b);
}

/* ---- files ---- */

static void check_clones(const char *dir)
{
	static const char *const layer[] = { "0", "2", "3" };
	char path[PATH_MAX], name[200];
	struct st_file *f = NULL;
	const void *data[3];

	CHECK(fs_join(path, sizeof(path), dir, "adapter_model.safetensors") == TT_OK);
	CHECK(st_open(path, &f) == TT_OK && st_count(f) == 3 * SITES + 2);
	for (int i = 0; i < 3; i++) {
		const struct st_tensor *t;

		snprintf(
			name, sizeof(name),
			"base_model.model.bert.encoder.layer.%s.attention.self.query.lora_A.weight",
			layer[i]);
		t = st_find(f, name);
		data[i] = t ? t->data : NULL;
	}
	CHECK(data[0] && data[1] && data[2] && data[0] != data[1]);
	CHECK(!memcmp(data[0], data[1], 2 * 8 * sizeof(float)) &&
	      !memcmp(data[0], data[2], 2 * 8 * sizeof(float)));
	st_close(f);
}

/* Replace one text by another in a file of the folder. */
static void edit(const char *dir, const char *file, const char *from, const char *to)
{
	char path[PATH_MAX];
	struct buf text, out;
	const char *hit;

	CHECK(fs_join(path, sizeof(path), dir, file) == TT_OK);
	CHECK(fs_read(path, 1 << 20, &text) == TT_OK);
	hit = strstr(text.data, from);
	buf_init(&out, 1 << 20);
	if (CHECK_NAMED(hit != NULL, from)) {
		buf_printf(&out, "%.*s%s%s", (int)(hit - text.data), text.data, to,
			   hit + strlen(from));
		CHECK(fs_write_atomic(path, out.data, out.size) == TT_OK);
	}
	buf_done(&text);
	buf_done(&out);
}

static const struct {
	const char *from, *to, *says;
} edits[] = {
	{ "layer.2.attention.self.query", "layer.2.attention.self.key", "does not adapt" },
	{ "layer.2.attention.self.query", "layer.0.attention.self.query", "one twice" },
	{ "layer.2.attention.self.query", "layer.0.attention.self.value", "cannot share" },
	{ "\"shared\"", "\"other\"", "shared is missing" },
};

/* Once layers share, a file with others is too late. */
static void other_groups_are_refused(const char *dir)
{
	struct desk d;

	desk_open(&d, shared, 8);
	for (size_t i = 0; i < SITES; i++)
		drop_at(d.b.method, i)->sum = 1;
	CHECK(drop_place(d.b.method) == TT_OK && adapter_load(d.b.method, dir) == TT_INVALID);
	CHECK(strstr(err_text(), "share a step already") != NULL);
	bench_close(&d.b);
}

/* What `edits` makes of the side file is refused by a fresh method. */
static void wrong_groups_are_refused(struct method *m, const char *dir)
{
	for (size_t i = 0; i < COUNT(edits); i++) {
		struct bench b;

		CHECK(unseeing(&b, shared, 42) == TT_OK);
		edit(dir, "lora_drop.json", edits[i].from, edits[i].to);
		CHECK_NAMED(adapter_load(b.method, dir) == TT_INVALID, edits[i].says);
		if (!CHECK_NAMED(strstr(err_text(), edits[i].says) != NULL, edits[i].says))
			printf("# %s\n", err_text());
		CHECK(adapter_save(m, dir, "toy") == TT_OK);
		bench_close(&b);
	}
}

static void other_numbers_are_refused(const char *dir)
{
	char path[PATH_MAX];
	const struct st_tensor *t;
	struct st_file *f = NULL;
	struct buf file;
	struct bench b;

	CHECK(unseeing(&b, shared, 42) == TT_OK);
	CHECK(fs_join(path, sizeof(path), dir, "adapter_model.safetensors") == TT_OK);
	CHECK(fs_read(path, 1 << 20, &file) == TT_OK);
	CHECK(st_open_memory(file.data, file.size, "edited", &f) == TT_OK);
	t = st_find(f, "base_model.model.bert.encoder.layer.3.attention.self.query.lora_A.weight");
	file.data[t->data - (const unsigned char *)file.data] ^= 1;
	st_close(f);
	CHECK(fs_write_atomic(path, file.data, file.size) == TT_OK);
	CHECK(adapter_load(b.method, dir) == TT_INVALID);
	CHECK(strstr(err_text(), "is not what the other layers have") != NULL);
	CHECK(fs_join(path, sizeof(path), dir, "lora_drop.json") == TT_OK && !remove(path));
	buf_done(&file);
	bench_close(&b);
	CHECK(unseeing(&b, shared, 42) == TT_OK);
	CHECK(adapter_load(b.method, dir) == TT_NOTFOUND &&
	      strstr(err_text(), "has no lora_drop.json") != NULL);
	bench_close(&b);
}

static void shared_adapters_come_back(void)
{
	char dir[PATH_MAX];
	struct bench b;
	struct desk d;
	float *live, *loaded, *merged;
	int64_t n = 0;

	desk_open(&d, shared, 8);
	CHECK(unseeing(&b, shared, 43) == TT_OK);
	share(&d.b);
	bench_shake(&d.b, 0.2f);
	snprintf(dir, sizeof(dir), "%.4000s/adapter", d.b.dir);
	CHECK(adapter_save(d.b.method, dir, "toy") == TT_OK);
	check_clones(dir);
	if (!CHECK(adapter_load(b.method, dir) == TT_OK))
		printf("# %s\n", err_text());
	CHECK(adapter_load(b.method, dir) == TT_OK); /* the same once more */
	CHECK(b.method->nparam == d.b.method->nparam);
	CHECK(prime(&d, 0.02) == TT_OK && !d.steps); /* who shares is known */
	live = bench_logits(&d.b, &n);
	loaded = bench_logits(&b, &n);
	CHECK(live && loaded && bench_same(live, loaded, n, 0));
	CHECK(method_merge(b.method) == TT_OK);
	b.method = NULL;
	merged = bench_logits(&b, &n);
	CHECK(merged && bench_same(live, merged, n, 1e-5));
	free(live);
	free(loaded);
	free(merged);
	bench_close(&b);
	other_groups_are_refused(dir);
	wrong_groups_are_refused(d.b.method, dir);
	other_numbers_are_refused(dir);
	bench_close(&d.b);
}

/* ---- the panel ---- */

struct heard {
	double own, shared, share, kept;
	char alarm[256];
};

static void listen(void *arg, const char *key, double x)
{
	struct heard *h = arg;

	if (!strcmp(key, "method/lora_drop/own/layer_1/attention.self.query"))
		h->own = x;
	if (!strcmp(key, "method/lora_drop/own/layer_3/attention.self.query"))
		h->shared = x;
	if (!strcmp(key, "method/lora_drop/importance/layer_1/attention.self.query"))
		h->share = x;
	if (!strcmp(key, "method/lora_drop/kept"))
		h->kept = x;
}

static void hear(void *arg, const char *text)
{
	struct heard *h = arg;

	snprintf(h->alarm, sizeof(h->alarm), "%s", text);
}

static void panel_tells_who_shares(void)
{
	struct heard h = { .own = NAN };
	const struct watch out = { .metric = listen, .arg = &h, .alarm = hear };
	struct desk d;

	desk_open(&d, shared, 8);
	share(&d.b);
	stage_watch(d.b.method, &out);
	CHECK(h.own == 1 && h.shared == 0 && h.kept == 2);
	CHECK_NEAR(h.share, 0.75, 1e-6);
	CHECK(strstr(h.alarm, "has 75 % of the importance") != NULL);
	bench_close(&d.b);
}

static void wrong_settings_are_refused(void)
{
	struct bench b;

	CHECK(bench_model(&b, TASK_SEQ_CLS) == TT_OK);
	CHECK(bench_attach(&b, "lora_drop", "{\"init_lora_weights\": \"olora\"}", TASK_SEQ_CLS,
			   42) == TT_INVALID);
	CHECK(strstr(err_text(), "layers share what they start with") != NULL);
	bench_close(&b);
}

int main(void)
{
	if (!CHECK(deep_folder() == TT_OK))
		return bench_done();
	importance_is_the_size_of_the_step();
	a_step_that_never_moved_is_refused();
	share_by_importance();
	gradients_come_from_all_layers();
	shared_adapters_come_back();
	panel_tells_who_shares();
	wrong_settings_are_refused();
	return bench_done();
}
