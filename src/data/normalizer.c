/*
 * Normalizers. Every step reads one text and writes the other of two; most are
 * a single fold of data/unicode.h with different bits, so BERT's four passes
 * are one.
 */
#include "data/normalizer.h"

#include <string.h>

#include "base/array.h"
#include "base/err.h"

static int step_add(struct normalizer *n, const struct normal_step *step)
{
	if (n->n == NORMAL_STEPS)
		return err_set(TT_INVALID, "the normalizer has more than %d steps", NORMAL_STEPS);
	n->step[n->n++] = *step;
	return TT_OK;
}

static int step_add_fold(struct normalizer *n, unsigned fold)
{
	const struct normal_step step = { .kind = NORMAL_FOLD, .fold = fold };

	return step_add(n, &step);
}

static bool flag(const struct json *j, const char *key, bool def)
{
	const struct json *v = json_get(j, key);

	return v && json_type(v) == JSON_BOOL ? json_bool(v) : def;
}

void normalizer_bert(const struct bert_normal *how, struct normalizer *ret)
{
	const bool strip = how->strip_accents < 0 ? how->lowercase : how->strip_accents > 0;
	const unsigned fold = (how->clean_text ? FOLD_CLEAN : 0) |
			      (how->handle_chinese_chars ? FOLD_IDEOGRAPHS : 0) |
			      (strip ? FOLD_DECOMPOSE | FOLD_DROP_NONSPACING : 0) |
			      (how->lowercase ? FOLD_LOWER : 0);

	ret->n = 0;
	step_add_fold(ret, fold);
}

static int load_bert(const struct json *j, struct arena *a, struct normalizer *n)
{
	const struct json *strip = json_get(j, "strip_accents");
	struct normalizer one;
	const struct bert_normal how = {
		.clean_text = flag(j, "clean_text", true),
		.handle_chinese_chars = flag(j, "handle_chinese_chars", true),
		.lowercase = flag(j, "lowercase", true),
		.strip_accents = strip && json_type(strip) == JSON_BOOL ? json_bool(strip) : -1,
	};

	(void)a;
	normalizer_bert(&how, &one);
	return step_add(n, &one.step[0]);
}

static int load_strip(const struct json *j, struct arena *a, struct normalizer *n)
{
	const struct normal_step step = {
		.kind = NORMAL_STRIP,
		.left = flag(j, "strip_left", true),
		.right = flag(j, "strip_right", true),
	};

	(void)a;
	return step_add(n, &step);
}

static int copy_text(const struct json *j, const char *key, struct arena *a, const char **ret)
{
	const char *text = json_text(json_get(j, key));

	if (!text)
		return err_set(TT_INVALID, "\"%s\" must be a string", key);
	*ret = arena_text(a, text);
	return *ret ? TT_OK : TT_NOMEM;
}

static int load_replace(const struct json *j, struct arena *a, struct normalizer *n)
{
	const struct json *pattern = json_get(j, "pattern");
	struct normal_step step = { .kind = NORMAL_REPLACE };
	int r = copy_text(j, "content", a, &step.put);

	if (r < 0)
		return r;
	step.put_size = strlen(step.put);
	if (json_text(json_get(pattern, "Regex"))) {
		r = regex_new(json_text(json_get(pattern, "Regex")), &step.regex);
	} else {
		r = copy_text(pattern, "String", a, &step.find);
		step.find_size = r < 0 ? 0 : strlen(step.find);
	}
	if (r < 0)
		return r;
	r = step_add(n, &step);
	if (r < 0)
		regex_free(step.regex);
	return r;
}

static int load_prepend(const struct json *j, struct arena *a, struct normalizer *n)
{
	struct normal_step step = { .kind = NORMAL_PREPEND };
	const int r = copy_text(j, "prepend", a, &step.put);

	if (r < 0)
		return r;
	step.put_size = strlen(step.put);
	return step_add(n, &step);
}

static int load_any(const struct json *j, struct arena *a, struct normalizer *n, int depth);

static int load_sequence(const struct json *j, struct arena *a, struct normalizer *n, int depth)
{
	const struct json *list = json_get(j, "normalizers");
	int r = TT_OK;

	if (!list || json_type(list) != JSON_ARRAY)
		return err_set(TT_INVALID, "a normalizer Sequence needs a list \"normalizers\"");
	for (const struct json *i = json_first(list); i && r == TT_OK; i = json_next(i))
		r = load_any(i, a, n, depth + 1);
	return r;
}

static const struct {
	const char *type;
	unsigned fold; /* or */
	int (*load)(const struct json *j, struct arena *a, struct normalizer *n);
} kinds[] = {
	{ "BertNormalizer", 0, load_bert },
	{ "Lowercase", FOLD_LOWER, NULL },
	{ "StripAccents", FOLD_DROP_MARKS, NULL },
	{ "NFD", FOLD_DECOMPOSE, NULL },
	{ "NFC", FOLD_DECOMPOSE | FOLD_COMPOSE, NULL },
	{ "NFKD", FOLD_DECOMPOSE | FOLD_COMPATIBLE, NULL },
	{ "NFKC", FOLD_DECOMPOSE | FOLD_COMPATIBLE | FOLD_COMPOSE, NULL },
	{ "Strip", 0, load_strip },
	{ "Replace", 0, load_replace },
	{ "Prepend", 0, load_prepend },
};

static int load_any(const struct json *j, struct arena *a, struct normalizer *n, int depth)
{
	const char *type = json_text(json_get(j, "type"));

	if (depth > 8)
		return err_set(TT_INVALID, "the normalizer is nested too deeply");
	if (!type)
		return err_set(TT_INVALID, "a normalizer has no \"type\"");
	if (!strcmp(type, "Sequence"))
		return load_sequence(j, a, n, depth);
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strcmp(type, kinds[i].type) != 0)
			continue;
		return kinds[i].load ? kinds[i].load(j, a, n) : step_add_fold(n, kinds[i].fold);
	}
	return err_set(TT_INVALID, "normalizer '%.60s' is not supported yet", type);
}

int normalizer_load(const struct json *j, struct arena *a, struct normalizer *ret)
{
	int r;

	ret->n = 0;
	if (!j || json_type(j) == JSON_NULL)
		return TT_OK;
	r = load_any(j, a, ret, 0);
	if (r < 0)
		normalizer_done(ret);
	return r;
}

void normalizer_done(struct normalizer *n)
{
	for (size_t i = 0; i < n->n; i++)
		regex_free(n->step[i].regex);
	n->n = 0;
}

void normal_scratch_done(struct normal_scratch *s)
{
	text_done(&s->text);
	text_done(&s->spare);
	fold_scratch_done(&s->fold);
}

static int run_strip(const struct normal_step *step, const char *s, size_t n, struct text *out)
{
	size_t first = 0, last = n;

	while (step->left && first < last) {
		size_t at = first;
		if (!unicode_is_white(utf8_get(s, &at)))
			break;
		first = at;
	}
	while (step->right && last > first) {
		const size_t back = utf8_back(s, last);
		size_t at = back;
		if (!unicode_is_white(utf8_get(s, &at)))
			break;
		last = back;
	}
	return text_add(out, s + first, last - first);
}

/* An empty literal is found before every character and at the end. */
static int run_replace_empty(const struct normal_step *step, const char *s, size_t n,
			     struct text *out)
{
	int r = text_add(out, step->put, step->put_size);

	for (size_t i = 0; i < n && r == TT_OK;) {
		size_t at = i;
		utf8_get(s, &at);
		r = text_add(out, s + i, at - i);
		if (r == TT_OK)
			r = text_add(out, step->put, step->put_size);
		i = at;
	}
	return r;
}

static int run_replace_literal(const struct normal_step *step, const char *s, size_t n,
			       struct text *out)
{
	size_t from = 0;
	int r = TT_OK;

	if (!step->find_size)
		return run_replace_empty(step, s, n, out);
	while (r == TT_OK) {
		const char *hit = memmem(s + from, n - from, step->find, step->find_size);
		if (!hit)
			return text_add(out, s + from, n - from);
		r = text_add(out, s + from, (size_t)(hit - s) - from);
		if (r == TT_OK)
			r = text_add(out, step->put, step->put_size);
		from = (size_t)(hit - s) + step->find_size;
	}
	return r;
}

static int run_replace_regex(const struct normal_step *step, const char *s, size_t n,
			     struct text *out)
{
	struct regex_walk *walk;
	size_t from = 0, start, end;
	int r = regex_walk_new(step->regex, &walk);

	if (r < 0)
		return r;
	regex_walk_start(walk, s, n);
	for (r = regex_walk_next(walk, &start, &end); r > 0;) {
		r = text_add(out, s + from, start - from);
		if (r == TT_OK)
			r = text_add(out, step->put, step->put_size);
		from = end;
		if (r == TT_OK)
			r = regex_walk_next(walk, &start, &end);
	}
	regex_walk_free(walk);
	return r < 0 ? r : text_add(out, s + from, n - from);
}

static int run_prepend(const struct normal_step *step, const char *s, size_t n, struct text *out)
{
	const int r = n ? text_add(out, step->put, step->put_size) : TT_OK;

	return r < 0 ? r : text_add(out, s, n);
}

static int run_step(const struct normal_step *step, const char *s, size_t n,
		    struct normal_scratch *scratch, struct text *out)
{
	switch (step->kind) {
	case NORMAL_FOLD: return unicode_fold(s, n, step->fold, &scratch->fold, out);
	case NORMAL_STRIP: return run_strip(step, s, n, out);
	case NORMAL_REPLACE:
		return step->regex ? run_replace_regex(step, s, n, out)
				   : run_replace_literal(step, s, n, out);
	case NORMAL_PREPEND: return run_prepend(step, s, n, out);
	}
	return TT_OK;
}

int normalizer_run(const struct normalizer *n, const char *s, size_t size,
		   struct normal_scratch *scratch)
{
	int r = text_reserve(&scratch->text, 64);

	if (r == TT_OK)
		r = text_reserve(&scratch->spare, 64);
	scratch->text.n = 0;
	if (r < 0 || !n->n)
		return r < 0 ? r : text_add(&scratch->text, s, size);
	r = run_step(&n->step[0], s, size, scratch, &scratch->text);
	for (size_t i = 1; i < n->n && r == TT_OK; i++) {
		struct text done = scratch->text;
		scratch->text = scratch->spare;
		scratch->spare = done;
		scratch->text.n = 0;
		r = run_step(&n->step[i], done.data, done.n, scratch, &scratch->text);
	}
	return r;
}
