/*
 * The recipe, in and out. json.c makes a tree of the file, --set edits the
 * tree, and tables of knobs (here and in recipe_table.c) turn it into structs.
 * The tree stays, since it is what was asked for, without defaults.
 */
#include "base/recipe.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/fs.h"

enum { PEFT_MAX = 8 }; /* methods of one combination */
static const size_t file_max = (size_t)1 << 20;

/* ---- tables ---- */

struct top {
	const char *name, *base_model, *init_adapter, *description;
	struct texts tags;
	const struct json *task, *data, *prompt, *peft, *train, *compute;
};

#define AT(struct_name, field) offsetof(struct struct_name, field)

static const struct knob top_knobs[] = {
	{ .name = "name",
	  .type = KNOB_TEXT,
	  .at = AT(top, name),
	  .flags = KNOB_OPTIONAL,
	  .help = "The name runs are listed under; without one, the file's name." },
	{ .name = "base_model",
	  .type = KNOB_TEXT,
	  .at = AT(top, base_model),
	  .flags = KNOB_REQUIRED,
	  .help = "A folder with config.json and *.safetensors, a .gguf file, or a hub id org/name "
		  "in the local cache." },
	{ .name = "init_adapter",
	  .type = KNOB_PATH,
	  .at = AT(top, init_adapter),
	  .flags = KNOB_OPTIONAL,
	  .help = "Start from this adapter folder instead of a fresh one." },
	{ .name = "description",
	  .type = KNOB_TEXT,
	  .at = AT(top, description),
	  .flags = KNOB_OPTIONAL,
	  .help = "What the experiment is for; kept in the run log." },
	{ .name = "tags",
	  .type = KNOB_TEXTS,
	  .at = AT(top, tags),
	  .flags = KNOB_OPTIONAL,
	  .help = "Words to find the run by." },
	{ .name = "task",
	  .type = KNOB_JSON,
	  .at = AT(top, task),
	  .flags = KNOB_OPTIONAL,
	  .help = "What is learned." },
	{ .name = "data",
	  .type = KNOB_JSON,
	  .at = AT(top, data),
	  .flags = KNOB_OPTIONAL,
	  .help = "From which rows." },
	{ .name = "prompt",
	  .type = KNOB_JSON,
	  .at = AT(top, prompt),
	  .flags = KNOB_OPTIONAL,
	  .help = "How a row becomes text, for cloze and language-model tasks." },
	{ .name = "peft",
	  .type = KNOB_JSON,
	  .at = AT(top, peft),
	  .flags = KNOB_OPTIONAL,
	  .help = "By which method; an array combines several." },
	{ .name = "train",
	  .type = KNOB_JSON,
	  .at = AT(top, train),
	  .flags = KNOB_OPTIONAL,
	  .help = "How long, how fast." },
	{ .name = "compute",
	  .type = KNOB_JSON,
	  .at = AT(top, compute),
	  .flags = KNOB_OPTIONAL,
	  .help = "On which hardware, at which precision." },
	{ .name = NULL }
};

static const struct knob prompt_knobs[] = {
	{ .name = "pattern",
	  .type = KNOB_TEXT,
	  .at = AT(prompt_settings, pattern),
	  .flags = KNOB_OPTIONAL,
	  .help = "The text with {a}, {b} and {mask}, such as \"{a} ¦ It was {mask} .\"." },
	{ .name = "verbalizer",
	  .type = KNOB_JSON,
	  .at = AT(prompt_settings, verbalizer),
	  .flags = KNOB_OPTIONAL,
	  .help = "For every label the word or words that stand for it." },
	{ .name = "patterns",
	  .type = KNOB_JSON,
	  .at = AT(prompt_settings, patterns),
	  .flags = KNOB_OPTIONAL,
	  .help = "Several patterns, each with its verbalizer and weight, for a PET run." },
	{ .name = "aggregate",
	  .type = KNOB_CHOICE,
	  .at = AT(prompt_settings, aggregate),
	  .choices = "mean_logit|sum_prob|max",
	  .help = "How the scores of one label's words become one." },
	{ .name = "calibration",
	  .type = KNOB_CHOICE,
	  .at = AT(prompt_settings, calibration),
	  .choices = "none|contextual|prior",
	  .help = "Whether scores are corrected for what the model prefers anyway." },
	{ .name = "mlm_weight",
	  .type = KNOB_REAL,
	  .at = AT(prompt_settings, mlm_weight),
	  .min = 0,
	  .max = 1,
	  .help = "The share of the auxiliary masked-LM loss on data.unlabeled." },
	{ .name = "repetitions",
	  .type = KNOB_INT,
	  .at = AT(prompt_settings, repetitions),
	  .def = 1,
	  .min = 1,
	  .max = 1000,
	  .help = "Models trained for each pattern of a PET run." },
	{ .name = "temperature",
	  .type = KNOB_REAL,
	  .at = AT(prompt_settings, temperature),
	  .def = 2,
	  .min = 0,
	  .max = 1000,
	  .flags = KNOB_OPEN_MIN,
	  .help = "Softens the ensemble's labels before distillation." },
	{ .name = "distill",
	  .type = KNOB_JSON,
	  .at = AT(prompt_settings, distill),
	  .flags = KNOB_OPTIONAL,
	  .help = "Settings of the classifier that learns from the ensemble." },
	{ .name = "ipet",
	  .type = KNOB_JSON,
	  .at = AT(prompt_settings, ipet),
	  .flags = KNOB_OPTIONAL,
	  .help = "Generations of ensembles that label data for the next one." },
	{ .name = "input",
	  .type = KNOB_TEXT,
	  .at = AT(prompt_settings, input),
	  .flags = KNOB_OPTIONAL,
	  .help = "The text a language model is given, such as \"premise: {a} hypothesis: {b}\"." },
	{ .name = "target",
	  .type = KNOB_TEXT,
	  .at = AT(prompt_settings, target),
	  .flags = KNOB_OPTIONAL,
	  .help = "The text it is to answer, such as \"{label}\"." },
	{ .name = NULL }
};

struct pattern {
	const char *pattern;
	const struct json *verbalizer;
	double weight;
};

static const struct knob pattern_knobs[] = { { .name = "pattern",
					       .type = KNOB_TEXT,
					       .at = AT(pattern, pattern),
					       .flags = KNOB_REQUIRED },
					     { .name = "verbalizer",
					       .type = KNOB_JSON,
					       .at = AT(pattern, verbalizer),
					       .flags = KNOB_OPTIONAL },
					     { .name = "weight",
					       .type = KNOB_REAL,
					       .at = AT(pattern, weight),
					       .def = 1,
					       .min = 0,
					       .max = 1e6 },
					     { .name = NULL } };

struct ipet {
	int64_t generations;
	double scale, ratio;
};

static const struct knob ipet_knobs[] = { { .name = "generations",
					    .type = KNOB_INT,
					    .at = AT(ipet, generations),
					    .def = 3,
					    .min = 1,
					    .max = 100 },
					  { .name = "scale",
					    .type = KNOB_REAL,
					    .at = AT(ipet, scale),
					    .def = 5,
					    .min = 1,
					    .max = 1000,
					    .flags = KNOB_OPEN_MIN },
					  { .name = "ratio",
					    .type = KNOB_REAL,
					    .at = AT(ipet, ratio),
					    .def = 0.25,
					    .min = 0,
					    .max = 1,
					    .flags = KNOB_OPEN_MIN },
					  { .name = NULL } };

/* ---- reading ---- */

static int apply_sets(struct json *doc, const char *const *set, size_t n_set)
{
	for (size_t i = 0; i < n_set; i++) {
		const char *equal = strchr(set[i], '=');
		char path[512];
		size_t n;
		int rc;

		if (!equal || equal == set[i])
			return err_set(
				TT_INVALID,
				"--set %.100s: write --set PATH=VALUE, for example train.seed=1",
				set[i]);
		n = (size_t)(equal - set[i]);
		if (n >= sizeof(path))
			return err_set(TT_INVALID, "--set %.100s...: this path is too long",
				       set[i]);
		memcpy(path, set[i], n);
		path[n] = 0;
		rc = json_set(doc, path, equal + 1);
		if (rc)
			return err_in("--set");
	}
	return TT_OK;
}

/* A label: its word, or its words. */
static int check_verbalizer(const struct json *v, const char *where)
{
	char label[96];

	if (!v)
		return TT_OK;
	if (json_type(v) != JSON_OBJECT)
		return err_set(TT_INVALID,
			       "%s is %s; it must be an object with a word or an array of words "
			       "for every label",
			       where, json_type_name(json_type(v)));
	for (const struct json *m = json_first(v); m; m = json_next(m)) {
		bool good = json_text(m) || (json_type(m) == JSON_ARRAY && json_first(m));

		for (const struct json *c = json_text(m) ? NULL : json_first(m); c;
		     c = json_next(c))
			good = good && json_text(c);
		knob_quote(json_key(m), label, sizeof(label));
		if (!good)
			return err_set(TT_INVALID,
				       "%s has no words for %s; it must be a string or an array of "
				       "strings",
				       where, label);
	}
	return TT_OK;
}

static int check_patterns(const struct json *patterns, struct arena *a)
{
	size_t i = 0;

	if (!patterns)
		return TT_OK;
	if (json_type(patterns) != JSON_ARRAY || !json_first(patterns))
		return err_set(TT_INVALID,
			       "prompt.patterns is %s; it must be an array of objects with "
			       "pattern, verbalizer and weight",
			       json_type(patterns) == JSON_ARRAY
				       ? "empty"
				       : json_type_name(json_type(patterns)));
	for (const struct json *p = json_first(patterns); p; p = json_next(p), i++) {
		struct pattern one;
		char where[64];
		int rc;

		snprintf(where, sizeof(where), "prompt.patterns.%zu", i);
		rc = knob_parse(pattern_knobs, p, where, NULL, a, &one);
		if (rc)
			return rc;
		snprintf(where, sizeof(where), "prompt.patterns.%zu.verbalizer", i);
		rc = check_verbalizer(one.verbalizer, where);
		if (rc)
			return rc;
	}
	return TT_OK;
}

static int read_prompt(const struct json *prompt, struct arena *a, struct prompt_settings *ret)
{
	struct prompt_settings p;
	struct ipet ipet;
	int rc;

	knob_defaults(prompt_knobs, ret);
	if (!prompt)
		return TT_OK;
	rc = knob_parse(prompt_knobs, prompt, "prompt", NULL, a, &p);
	if (!rc)
		rc = check_verbalizer(p.verbalizer, "prompt.verbalizer");
	if (!rc)
		rc = check_patterns(p.patterns, a);
	if (!rc && p.distill && json_type(p.distill) != JSON_OBJECT)
		rc = err_set(TT_INVALID, "prompt.distill is %s; it must be an object",
			     json_type_name(json_type(p.distill)));
	if (!rc && p.ipet)
		rc = knob_parse(ipet_knobs, p.ipet, "prompt.ipet", NULL, a, &ipet);
	*ret = p;
	return rc;
}

static const struct recipe_method *method_find(const struct recipe_method *methods,
					       const char *name)
{
	for (const struct recipe_method *m = methods; m->name; m++)
		if (!strcmp(m->name, name))
			return m;
	return NULL;
}

static int unknown_method(const struct recipe_method *methods, const char *where, const char *name)
{
	const char *names[64] = { NULL }, *near;
	char quoted[96], list[300] = "";
	size_t n = 0, at = 0;

	knob_quote(name, quoted, sizeof(quoted));
	for (const struct recipe_method *m = methods; m->name && n < COUNT(names); m++) {
		names[n++] = m->name;
		if (at + strlen(m->name) + 3 < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at ? ", " : "",
					       m->name);
	}
	near = knob_nearest(name, names, n);
	return err_set(TT_INVALID, "%s.method is %s, which is no method here%s%s%s; there are %s",
		       where, quoted, near ? " (did you mean " : "", near ? near : "",
		       near ? "?)" : "", list);
}

/*
 * The method's own table, with "method" in front: the key stands in the same
 * object. Its value goes behind the method's struct.
 */
static int read_settings(struct recipe *r, const struct json *object, const char *where,
			 struct recipe_peft *ret)
{
	const struct recipe_method *m = ret->method;
	const size_t behind = (m->size + sizeof(char *) - 1) / sizeof(char *) * sizeof(char *);
	struct knob *table;
	size_t n = 0;

	while (m->knobs[n].name)
		n++;
	table = arena_zero(r->arena, n + 2, sizeof(*table));
	ret->settings = arena_zero(r->arena, 1, behind + sizeof(char *));
	if (!table || !ret->settings)
		return TT_NOMEM;
	table[0] = (struct knob){
		.name = "method", .type = KNOB_TEXT, .at = behind, .flags = KNOB_REQUIRED
	};
	memcpy(table + 1, m->knobs, (n + 1) * sizeof(*table));
	return knob_parse(table, object, where, r->dir, r->arena, ret->settings);
}

static int read_method(struct recipe *r, const struct json *object, const char *where,
		       const struct recipe_method *methods, struct recipe_peft *ret)
{
	const struct json *name = json_get(object, "method");

	if (json_type(object) != JSON_OBJECT)
		return err_set(TT_INVALID, "%s is %s; it must be an object with a method", where,
			       json_type_name(json_type(object)));
	if (!name)
		return err_set(TT_INVALID,
			       "%s.method is missing; it must name a method such as \"lora\"",
			       where);
	if (!json_text(name))
		return err_set(TT_INVALID, "%s.method is %s; it must be a string such as \"lora\"",
			       where, json_type_name(json_type(name)));
	ret->name = arena_text(r->arena, json_text(name));
	if (!ret->name)
		return TT_NOMEM;
	if (!methods)
		return TT_OK;
	ret->method = method_find(methods, ret->name);
	return ret->method ? read_settings(r, object, where, ret)
			   : unknown_method(methods, where, ret->name);
}

static int read_peft(struct recipe *r, const struct json *peft, const struct recipe_method *methods)
{
	const bool many = peft && json_type(peft) == JSON_ARRAY;
	const size_t n = many ? json_count(peft) : 1;
	const struct json *one = many ? json_first(peft) : peft;
	char where[32] = "peft";

	if (!peft)
		return err_set(TT_INVALID,
			       "peft.method is missing; it must name a method such as \"lora\"");
	if (!n || n > PEFT_MAX)
		return err_set(TT_INVALID, "peft is an array of %zu; it must hold 1 to %d methods",
			       n, PEFT_MAX);
	r->peft = arena_zero(r->arena, n, sizeof(*r->peft));
	if (!r->peft)
		return TT_NOMEM;
	for (size_t i = 0; i < n; i++, one = json_next(one)) {
		int rc;

		if (many)
			snprintf(where, sizeof(where), "peft.%zu", i);
		rc = read_method(r, one, where, methods, &r->peft[i]);
		if (rc)
			return rc;
	}
	r->n_peft = n;
	return TT_OK;
}

static int check_labels(const struct texts *labels)
{
	char label[96];

	if (labels->item && !labels->n)
		return err_set(TT_INVALID, "task.labels is an empty array; leave it out to take "
					   "the labels from the data");
	for (size_t i = 0; i < labels->n; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(labels->item[i], labels->item[j])) {
				knob_quote(labels->item[i], label, sizeof(label));
				return err_set(TT_INVALID, "task.labels has %s twice", label);
			}
	return TT_OK;
}

static int read_sections(struct recipe *r, const struct top *top,
			 const struct recipe_method *methods)
{
	int rc = knob_parse(recipe_task_knobs(), top->task, "task", r->dir, r->arena, &r->task);

	if (!rc)
		rc = check_labels(&r->task.labels);
	if (!rc)
		rc = knob_parse(recipe_data_knobs(), top->data, "data", r->dir, r->arena, &r->data);
	if (!rc)
		rc = read_prompt(top->prompt, r->arena, &r->prompting);
	if (!rc)
		rc = read_peft(r, top->peft, methods);
	if (!rc)
		rc = knob_parse(recipe_train_knobs(), top->train, "train", r->dir, r->arena,
				&r->train);
	if (!rc)
		rc = knob_parse(recipe_compute_knobs(), top->compute, "compute", r->dir, r->arena,
				&r->compute);
	r->prompt = top->prompt;
	return rc;
}

/* The file's name without its last ending. */
static char *stem(struct arena *a, const char *path)
{
	const char *base = fs_basename(path), *end = strrchr(base, '.');
	const size_t n = end && end > base ? (size_t)(end - base) : strlen(base);

	return arena_printf(a, "%.*s", (int)n, base);
}

static int set_names(struct recipe *r, const struct top *top)
{
	char joined[PATH_MAX], whole[PATH_MAX];

	if (top->name && !*top->name)
		return err_set(TT_INVALID,
			       "name is an empty string; leave it out to use the file's name");
	if (!*top->base_model)
		return err_set(TT_INVALID, "base_model is an empty string; it must be a folder, a "
					   ".gguf file or a hub id");
	r->name = top->name ? top->name : stem(r->arena, r->path);
	r->description = top->description;
	r->init_adapter = top->init_adapter;
	r->tags = top->tags;
	r->base_model = top->base_model;
	/* a folder that is there wins; anything else may be a hub id */
	if (!fs_join(joined, sizeof(joined), r->dir, top->base_model) && fs_exists(joined) &&
	    !fs_absolute(whole, sizeof(whole), joined))
		r->base_model = arena_text(r->arena, whole);
	return r->name && r->base_model ? TT_OK : TT_NOMEM;
}

static int read_document(struct recipe *r, const struct recipe_method *methods)
{
	struct top top;
	bool full = false;
	int rc = knob_parse(top_knobs, r->doc, "", r->dir, r->arena, &top);

	if (!rc)
		rc = set_names(r, &top);
	if (!rc)
		rc = read_sections(r, &top, methods);
	if (rc)
		return rc;
	for (size_t i = 0; i < r->n_peft; i++)
		full = full || !strcmp(r->peft[i].name, "full");
	if (isnan(r->train.learning_rate))
		r->train.learning_rate = full ? 2e-5 : 5e-4;
	return TT_OK;
}

static int set_paths(struct recipe *r, const char *path)
{
	char whole[PATH_MAX], dir[PATH_MAX];
	int rc = fs_absolute(whole, sizeof(whole), path);

	if (!rc)
		rc = fs_dirname(dir, sizeof(dir), whole);
	if (rc)
		return rc;
	r->path = arena_text(r->arena, whole);
	r->dir = arena_text(r->arena, dir);
	return r->path && r->dir ? TT_OK : TT_NOMEM;
}

int recipe_load(const char *path, const char *const *set, size_t n_set,
		const struct recipe_method *methods, struct recipe **ret)
{
	struct recipe *r = calloc(1, sizeof(*r));
	int rc = TT_NOMEM;

	if (r)
		r->arena = arena_new();
	if (!r || !r->arena) {
		err_set(TT_NOMEM, "not enough memory for %s", path);
		goto out;
	}
	rc = json_load(path, file_max, &r->doc);
	if (!rc)
		rc = set_paths(r, path);
	if (rc)
		goto out;
	rc = json_type(r->doc) == JSON_OBJECT ? apply_sets(r->doc, set, n_set) : TT_OK;
	if (!rc)
		rc = read_document(r, methods);
	if (rc)
		err_in("%s", path);
out:
	if (rc)
		recipe_free(r);
	else
		*ret = r;
	return rc;
}

void recipe_free(struct recipe *r)
{
	if (!r)
		return;
	json_free(r->doc);
	arena_free(r->arena);
	free(r);
}

/* ---- writing ---- */

/* People's notes survive a save, though nothing reads them. */
static void write_note(const struct json *section, struct jsonw *w)
{
	if (!json_text(json_get(section, "note")))
		return;
	jsonw_key(w, "note");
	jsonw_text(w, json_text(json_get(section, "note")));
}

static void write_section(const struct recipe *r, const char *name, const struct knob *table,
			  const void *settings, struct jsonw *w)
{
	jsonw_key(w, name);
	jsonw_object(w);
	write_note(json_get(r->doc, name), w);
	knob_write(table, settings, w);
	jsonw_end(w, '}');
}

static void write_method(const struct recipe_peft *p, const struct json *as_read, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_key(w, "method");
	jsonw_text(w, p->name);
	write_note(as_read, w);
	knob_write(p->method->knobs, p->settings, w);
	jsonw_end(w, '}');
}

static void write_peft(const struct recipe *r, struct jsonw *w)
{
	const struct json *peft = json_get(r->doc, "peft");
	const bool many = json_type(peft) == JSON_ARRAY;
	const struct json *one = many ? json_first(peft) : peft;

	jsonw_key(w, "peft");
	if (!r->peft[0].method) { /* loaded without methods: nobody knows the defaults */
		jsonw_json(w, peft);
		return;
	}
	if (many)
		jsonw_array(w);
	for (size_t i = 0; i < r->n_peft; i++, one = json_next(one))
		write_method(&r->peft[i], one, w);
	if (many)
		jsonw_end(w, ']');
}

static void write_prompt(const struct recipe *r, struct jsonw *w)
{
	if (r->prompt)
		write_section(r, "prompt", prompt_knobs, &r->prompting, w);
}

int recipe_write(const struct recipe *r, struct buf *out)
{
	const struct top top = {
		.name = r->name,
		.base_model = r->base_model,
		.init_adapter = r->init_adapter,
		.description = r->description,
		.tags = r->tags,
	};
	struct jsonw w;

	jsonw_init(&w, out, 2);
	jsonw_object(&w);
	write_note(r->doc, &w);
	knob_write(top_knobs, &top, &w);
	write_section(r, "task", recipe_task_knobs(), &r->task, &w);
	write_section(r, "data", recipe_data_knobs(), &r->data, &w);
	write_prompt(r, &w);
	write_peft(r, &w);
	write_section(r, "train", recipe_train_knobs(), &r->train, &w);
	write_section(r, "compute", recipe_compute_knobs(), &r->compute, &w);
	jsonw_end(&w, '}');
	buf_char(out, '\n');
	return buf_check(out, "the recipe");
}

/* ---- tables for others ---- */

const struct knob *recipe_top_knobs(void) { return top_knobs; }

const struct knob *recipe_prompt_knobs(void) { return prompt_knobs; }
