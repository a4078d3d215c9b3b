/* eval: the metrics of a recipe's model as it is, or of a run, on the validation or test split. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"
#include "engine/mixing.h"
#include "engine/session.h"

static int split_path(const struct recipe *r, const char *split, const char **ret)
{
	const char *path;

	if (!strcmp(split, "validation"))
		path = r->data.validation;
	else if (!strcmp(split, "test"))
		path = r->data.test;
	else
		return err_set(TT_USAGE, "--split is '%s'; it takes validation or test", split);
	if (!path)
		return err_set(TT_INVALID,
			       "%s: data.%s is missing, so there is nothing to evaluate on",
			       r->path, split);
	*ret = path;
	return TT_OK;
}

/* How often was label i right? */
static void write_per_label(struct jsonw *w, const struct session *s, const struct scores *x)
{
	jsonw_key(w, "per_label");
	jsonw_object(w);
	for (int64_t i = 0; i < x->n_labels; i++) {
		int64_t said = 0, is = 0, hit = x->confusion[i * x->n_labels + i];

		for (int64_t j = 0; j < x->n_labels; j++) {
			is += x->confusion[i * x->n_labels + j];
			said += x->confusion[j * x->n_labels + i];
		}
		jsonw_key(w, labels_name(s->labels, (int32_t)i));
		jsonw_object(w);
		jsonw_key(w, "n");
		jsonw_int(w, is);
		jsonw_key(w, "precision");
		jsonw_real(w, said ? (double)hit / (double)said : 0);
		jsonw_key(w, "recall");
		jsonw_real(w, is ? (double)hit / (double)is : 0);
		jsonw_key(w, "f1");
		jsonw_real(w, said + is ? 2.0 * (double)hit / (double)(said + is) : 0);
		jsonw_end(w, '}');
	}
	jsonw_end(w, '}');
	jsonw_key(w, "confusion");
	jsonw_array(w);
	for (int64_t i = 0; i < x->n_labels; i++) {
		jsonw_array(w);
		for (int64_t j = 0; j < x->n_labels; j++)
			jsonw_int(w, x->confusion[i * x->n_labels + j]);
		jsonw_end(w, ']');
	}
	jsonw_end(w, ']');
}

/* agreement: among several adapters, NAN: there are none. */
static void write_json(struct buf *out, const struct session *s, const struct scores *x,
		       double agreement)
{
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w);
	for (int i = 0; i < x->n; i++) {
		jsonw_key(&w, x->score[i].name);
		jsonw_real(&w, x->score[i].value);
	}
	if (!isnan(agreement)) {
		jsonw_key(&w, "agreement");
		jsonw_real(&w, agreement);
	}
	jsonw_key(&w, "n");
	jsonw_int(&w, x->examples);
	if (x->confusion)
		write_per_label(&w, s, x);
	jsonw_end(&w, '}');
}

static void write_plain(struct buf *out, const struct scores *x, double agreement)
{
	for (int i = 0; i < x->n; i++)
		buf_printf(out, "%-12s %.4f\n", x->score[i].name, x->score[i].value);
	if (!isnan(agreement))
		buf_printf(out, "%-12s %.4f\n", "agreement", agreement);
	buf_printf(out, "%-12s %lld", "n", (long long)x->examples);
}

static int measure(struct session *s, struct trainer *t, struct mixing *mixing, const char *path,
		   struct scores *ret)
{
	float *logits = NULL;
	int code;

	if (!mixing)
		return train_eval(t, s->other, ret);
	code = mixing_predict(mixing, t, path, &logits);
	if (!code)
		code = train_score(t, s->other, logits, ret);
	free(logits);
	return code;
}

static int score(struct session *s, struct mixing *mixing, const char *path, bool json)
{
	struct trainer t;
	struct scores x;
	struct buf out;
	int code = session_evaluator(s, &t);

	if (code)
		return code;
	buf_init(&out, (size_t)64 << 20);
	code = measure(s, &t, mixing, path, &x);
	if (!code) {
		const double agreement = mixing ? mixing_agreement(mixing) : (double)NAN;

		if (json)
			write_json(&out, s, &x, agreement);
		else
			write_plain(&out, &x, agreement);
		code = buf_check(&out, "the answer");
	}
	if (!code)
		puts(out.data);
	buf_done(&out);
	train_close(&t);
	return code;
}

/* A run, a recipe, a recipe with one adapter's folder, or several adapters over one model. */
static int load(struct session *s, const struct args *a, struct mixing **ret)
{
	const char *adapter = args_value(a, "--adapter"), *which = args_value(a, "--checkpoint"),
		   *combine = args_value(a, "--combine");
	char folder[PATH_MAX];
	int code = TT_OK;

	if (combine && !strcmp(combine, "each"))
		return err_set(TT_USAGE, "--combine each is for predict; eval measures one answer "
					 "a row");
	if (mixing_wanted(a) || (adapter && !mixing_is_folder(adapter)))
		return mixing_open(s, a, ret);
	if (adapter) {
		code = fs_absolute(folder, sizeof(folder), adapter);
		s->recipe->init_adapter = folder;
	}
	if (!code)
		code = session_load(s, false);
	s->recipe->init_adapter = NULL;
	return code || adapter ? code : session_restore(s, which ? which : "last");
}

static int eval(const struct args *a)
{
	const char *set[ARGS_MAX], *path = NULL, *split = args_value(a, "--split");
	const size_t n = args_values(a, "--set", set, ARGS_MAX);
	struct mixing *mixing = NULL;
	struct session s;
	int code = session_open(a->pos[0], set, n, &s);

	if (code)
		return code;
	code = split_path(s.recipe, split ? split : "validation", &path);
	if (!code)
		code = load(&s, a, &mixing);
	if (!code)
		code = session_dataset(&s, path, true, false, &s.other);
	if (!code)
		code = score(&s, mixing, path, args_has(a, "--json"));
	mixing_close(mixing);
	session_close(&s);
	return code;
}

static const struct arg options[] = {
	{ "--split", 0, "validation|test", "which rows (validation)" },
#include "engine/mixing_options.inc"
	{ "--checkpoint", 0, "best|last|STEP", "of a run: which checkpoint (last)" },
	{ "--set", 0, "PATH=VALUE", "change a setting of the recipe; may be repeated" },
	{ "--json", 0, NULL, "one JSON document, with per-label figures and the confusion matrix" },
	{ 0 }
};

const struct command verb_eval = {
	.name = "eval",
	.usage = "RECIPE|RUN [--split validation|test] [--adapter DIR|RUN]... [--json]",
	.summary = "Measure a run, or the model of a recipe before any training.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = eval,
};
