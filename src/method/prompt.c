/*
 * Prompt tuning: rows that are learned stand before the words of every text, and
 * the model stays as it is.
 *
 *     E' = [P; E(x)]        P [n, H]
 *
 * P stands where the lookups of words do, so positions, types and the norm come
 * on top; those of the text begin at n. As in PEFT a classifier reads the first
 * place, which is now the prompt's first row.
 */
#include "method/softprompt.h"

#include <math.h>
#include <string.h>

#include "base/array.h"
#include "base/err.h"
#include "base/rng.h"
#include "method/nearest.h"

enum { COMMON = 5000 }; /* words that count as frequent */

enum init { FROM_RANDOM, FROM_UNIFORM, FROM_VOCAB, FROM_TEXT, FROM_LABELS };

struct prompt_tuning_settings {
	struct softprompt_settings common;
	int prompt_tuning_init; /* enum init */
	const char *prompt_tuning_init_text, *tokenizer_name_or_path;
	const struct json *tokenizer_kwargs;
};

struct prompt {
	struct softprompt rows;
	struct nearest *nearest;
};

#define AT(member) offsetof(struct prompt_tuning_settings, member)

static const struct knob knobs[] = {
#include "method/softprompt_knobs.inc"
	{ "prompt_tuning_init", KNOB_CHOICE, AT(prompt_tuning_init), FROM_RANDOM, 0, FROM_LABELS, 0,
	  "RANDOM|UNIFORM|SAMPLE_VOCAB|TEXT|CLASS_LABELS", NULL,
	  "first rows: from N(0, 1), from -0.5 to 0.5, random words, the words of a text, or those "
	  "of the labels and then frequent words" },
	{ "prompt_tuning_init_text", KNOB_TEXT, AT(prompt_tuning_init_text), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL, "the text of TEXT, cut or repeated until it fits" },
	{ "tokenizer_name_or_path", KNOB_TEXT, AT(tokenizer_name_or_path), 0, 0, 0, KNOB_OPTIONAL,
	  NULL, NULL, "known from PEFT; the text is read by the model's own tokenizer" },
	{ "tokenizer_kwargs", KNOB_JSON, AT(tokenizer_kwargs), 0, 0, 0, KNOB_OPTIONAL, NULL, NULL,
	  "known from PEFT; only an empty object is taken" },
	{ 0 }
};

/* ---- first rows ---- */

static void copy_word(struct tensor *rows, int64_t row, const struct tensor *words, int64_t word)
{
	const int64_t cols = tensor_cols(rows);

	memcpy(rows->data + row * cols, words->data + word * cols, (size_t)cols * sizeof(float));
}

static void from_vocab(const struct method *m, struct tensor *rows)
{
	const struct tensor *words = softprompt_words(m);
	struct rng r;

	method_rng(m, rows->name, &r);
	for (int64_t i = 0; i < rows->dim[0]; i++)
		copy_word(rows, i, words, rng_below(&r, (uint32_t)words->dim[0]));
}

/* Ids of a text, all in the model's vocabulary. special: with what frames a text. */
static int encode(const struct method *m, const char *text, bool special, struct encoding *ret)
{
	const struct encode_options how = { .special_tokens = special };
	int code;

	if (!m->tokenizer)
		return err_set(TT_INVALID, "peft.prompt_tuning_init needs the model's tokenizer");
	encoding_init(ret);
	code = tokenizer_encode(m->tokenizer, text, strlen(text), NULL, 0, &how, ret);
	for (size_t i = 0; !code && i < ret->n; i++) {
		if (ret->id[i] >= softprompt_words(m)->dim[0])
			code = err_set(TT_INVALID,
				       "the tokenizer has a token %d, and the model only %lld",
				       (int)ret->id[i], (long long)softprompt_words(m)->dim[0]);
	}
	if (code)
		encoding_done(ret);
	return code;
}

static int from_text(const struct method *m, struct tensor *rows)
{
	const struct prompt_tuning_settings *set = m->settings;
	struct encoding e;
	int code;

	if (!set->prompt_tuning_init_text)
		return err_set(TT_INVALID, "peft.prompt_tuning_init TEXT needs a "
					   "peft.prompt_tuning_init_text");
	code = encode(m, set->prompt_tuning_init_text, true, &e);
	if (code)
		return err_in("peft.prompt_tuning_init_text");
	if (!e.n)
		code = err_set(TT_INVALID, "peft.prompt_tuning_init_text has no token");
	for (int64_t i = 0; !code && i < rows->dim[0]; i++)
		copy_word(rows, i, softprompt_words(m), e.id[(size_t)i % e.n]);
	encoding_done(&e);
	return code;
}

/* The mean of the words of a label; *ret false: it has none. */
static int from_label(const struct method *m, const char *label, float *row, bool *ret)
{
	const struct tensor *words = softprompt_words(m);
	const int64_t cols = tensor_cols(words);
	struct encoding e;
	const int code = encode(m, label, false, &e);

	if (code)
		return err_in("label '%s'", label);
	*ret = e.n;
	for (int64_t c = 0; e.n && c < cols; c++) {
		double sum = 0;

		for (size_t i = 0; i < e.n; i++)
			sum += (double)words->data[e.id[i] * cols + c];
		row[c] = (float)(sum / (double)e.n);
	}
	encoding_done(&e);
	return TT_OK;
}

/* No special token and no placeholder such as [unused7]: a token that texts hold. */
static bool is_word(const struct tokenizer *t, int32_t id)
{
	const char *text = tokenizer_token(t, id);
	const size_t n = text ? strlen(text) : 0;

	return n && !tokenizer_is_special(t, id) &&
	       !(n > 2 && text[0] == '[' && text[n - 1] == ']');
}

/*
 * Rows from `from` on: frequent words, none twice while they last. Vocabularies
 * are written by frequency, so the first words are taken for the frequent ones.
 */
static int from_frequent(const struct method *m, struct tensor *rows, int64_t from)
{
	const struct tensor *words = softprompt_words(m);
	int32_t pool[COMMON];
	uint32_t n = 0;
	struct rng r;

	for (int32_t id = 0; id < tokenizer_size(m->tokenizer) && id < words->dim[0]; id++) {
		if (n < COMMON && is_word(m->tokenizer, id))
			pool[n++] = id;
	}
	if (!n)
		return err_set(TT_INVALID, "the model's vocabulary has no words");
	method_rng(m, rows->name, &r);
	for (int64_t i = from; i < rows->dim[0]; i++) {
		const uint32_t at = (uint32_t)(i - from) % n, k = at + rng_below(&r, n - at);
		const int32_t id = pool[k];

		pool[k] = pool[at];
		pool[at] = id;
		copy_word(rows, i, words, id);
	}
	return TT_OK;
}

static int from_labels(struct method *m, struct tensor *rows)
{
	const int64_t cols = tensor_cols(rows);
	int64_t at = 0;

	if (!m->labels.n)
		return err_set(TT_INVALID, "peft.prompt_tuning_init CLASS_LABELS needs a task with "
					   "labels");
	if (rows->dim[0] < (int64_t)m->labels.n)
		method_note(m,
			    "peft.num_virtual_tokens %lld: only so many of %zu labels have a row",
			    (long long)rows->dim[0], m->labels.n);
	for (size_t i = 0; i < m->labels.n && at < rows->dim[0]; i++) {
		bool has = false;
		const int code = from_label(m, m->labels.item[i], rows->data + at * cols, &has);

		if (code)
			return code;
		at += has;
	}
	return from_frequent(m, rows, at);
}

static int fill(struct method *m, struct tensor *rows)
{
	const struct prompt_tuning_settings *set = m->settings;

	switch (set->prompt_tuning_init) {
	case FROM_VOCAB: from_vocab(m, rows); return TT_OK;
	case FROM_TEXT: return from_text(m, rows);
	case FROM_LABELS: return from_labels(m, rows);
	default: return TT_OK; /* drawn already */
	}
}

/* ---- the method ---- */

static struct tensor *prompt_rows(struct graph *g, struct site *s)
{
	const struct prompt *p = s->state;

	(void)g;
	return p->rows.table;
}

static const struct hooks hooks = { .prompt = prompt_rows };

static int check_settings(const struct method *m)
{
	const struct prompt_tuning_settings *set = m->settings;

	if (set->tokenizer_kwargs && json_type(set->tokenizer_kwargs) != JSON_NULL &&
	    (json_type(set->tokenizer_kwargs) != JSON_OBJECT || json_count(set->tokenizer_kwargs)))
		return err_set(TT_INVALID,
			       "peft.tokenizer_kwargs is not supported: the text is read by the "
			       "model's own tokenizer as it is");
	return softprompt_check(m);
}

static int prompt_begin(struct method *m)
{
	const struct prompt_tuning_settings *set = m->settings;
	const bool uniform = set->prompt_tuning_init == FROM_UNIFORM;
	const struct softprompt_how how = {
		.rows = set->common.num_virtual_tokens,
		.wide = m->model->hp.hidden_size,
		.init = uniform ? INIT_UNIFORM : INIT_NORMAL,
		.bound = uniform ? 0.5 : 1,
	};
	struct prompt *p = method_alloc(m, sizeof(*p));
	int code = p ? check_settings(m) : TT_NOMEM;

	m->state = p;
	if (!code)
		code = softprompt_sit(m, how.rows, &hooks, p);
	if (!code)
		code = softprompt_new(m, &how, &p->rows);
	if (!code)
		code = fill(m, p->rows.table);
	if (code)
		return code;
	softprompt_remember(&p->rows);
	return nearest_new(m, &p->nearest);
}

static int prompt_after_step(struct method *m, int64_t step)
{
	struct prompt *p = m->state;

	(void)step;
	softprompt_note(m, &p->rows);
	return TT_OK;
}

static int prompt_loaded(struct method *m, bool encoder)
{
	struct prompt *p = m->state;

	return softprompt_loaded(m, &p->rows, encoder, "");
}

/* PEFT needs a tokenizer's name beside a text, and knows no words but these three for the rest. */
static int prompt_config(const struct method *m, struct jsonw *w)
{
	static const char *const init[] = { "RANDOM", "RANDOM", "SAMPLE_VOCAB", "TEXT", "RANDOM" };
	const struct prompt_tuning_settings *set = m->settings;
	const bool text = set->prompt_tuning_init == FROM_TEXT;

	jsonw_key(w, "prompt_tuning_init");
	jsonw_text(w, init[set->prompt_tuning_init]);
	jsonw_key(w, "prompt_tuning_init_text");
	jsonw_text(w, set->prompt_tuning_init_text);
	jsonw_key(w, "tokenizer_kwargs");
	jsonw_null(w);
	jsonw_key(w, "tokenizer_name_or_path");
	jsonw_text(w, set->tokenizer_name_or_path || !text ? set->tokenizer_name_or_path
							   : m->model->folder);
	return softprompt_config(m, w);
}

/* How rows began says nothing of what they are. */
static int prompt_agrees(const struct method *m, const struct json *config)
{
	static const char *const known[] = { "prompt_tuning_init", "prompt_tuning_init_text",
					     "tokenizer_kwargs", "tokenizer_name_or_path" };

	return softprompt_agrees(m, config, known, COUNT(known));
}

static void prompt_watch(struct method *m, const struct watch *out)
{
	struct prompt *p = m->state;

	nearest_watch(p->nearest, p->rows.table, m->ops->name, out);
	softprompt_watch(&p->rows, m->ops->name, out);
}

const struct method_ops method_prompt = {
	.name = "prompt",
	.title = "Prompt tuning",
	.cite = "Lester et al. 2021",
	.peft_type = "PROMPT_TUNING",
	.lists_heads_twice = true,
	.knobs = knobs,
	.settings_size = sizeof(struct prompt_tuning_settings),
	.takes_modules_to_save = true,
	.seated = true,
	.begin = prompt_begin,
	.after_step = prompt_after_step,
	.config = prompt_config,
	.agrees = prompt_agrees,
	.file_name = softprompt_file_name,
	.encoder_name = softprompt_encoder_name,
	.loaded = prompt_loaded,
	.watch = prompt_watch,
};
