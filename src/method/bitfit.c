/*
 * BitFit: only bias vectors train, and the task's head.
 *
 *     y = W x + b        b trains
 *
 * "all" takes every bias, of norms too; "query_intermediate" is the paper's
 * subset: the bias of the query projection and of the feed-forward layer's first
 * half. Saved as a LoRA adapter that adapts nothing, with bias "all": PEFT then
 * stores and loads every bias, trained or not.
 */
#include "method/lowrank.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum terms { TERMS_ALL, TERMS_QUERY_INTERMEDIATE };

struct bitfit_settings {
	int bias_terms;
};

static const struct knob knobs[] = { { .name = "bias_terms",
				       .type = KNOB_CHOICE,
				       .at = offsetof(struct bitfit_settings, bias_terms),
				       .max = 1,
				       .choices = "all|query_intermediate",
				       .help = "which biases train" },
				     { 0 } };

static bool ends(const char *text, const char *end)
{
	const size_t n = strlen(text), k = strlen(end);

	return n >= k && !strcmp(text + n - k, end);
}

static bool picked(const struct bitfit_settings *set, const char *name)
{
	if (set->bias_terms == TERMS_ALL)
		return strstr(name, "bias");
	return ends(name, "attention.self.query.bias") || ends(name, "intermediate.dense.bias");
}

static int bitfit_begin(struct method *m)
{
	const struct model *model = m->model;

	m->saves_biases = true;
	for (size_t i = 0; i < model->nparam; i++) {
		const int code = picked(m->settings, model->param[i]->name)
					 ? method_train_base(m, model->param[i])
					 : TT_OK;

		if (code)
			return code;
	}
	if (!m->nparam)
		return err_set(TT_INVALID,
			       "method 'bitfit' finds no such biases in models of type '%s'",
			       model->hp.model_type);
	return TT_OK;
}

static int bitfit_config(const struct method *m, struct jsonw *w)
{
	return lowrank_dummy_config(m, w, "all");
}

/* What a bias is of, without the number of its layer: "attention.self.query". */
static void term_of(const char *name, char *ret, size_t size)
{
	const char *term = method_term(name);

	snprintf(ret, size, "%.*s", (int)(strrchr(term, '.') - term), term);
}

static double mean_change(const struct method *m, const char *term)
{
	double sum = 0;
	int64_t n = 0;

	for (size_t i = 0; i < m->nparam; i++) {
		const struct tensor *t = m->param[i];
		char own[128];

		term_of(t->name, own, sizeof(own));
		if (!ends(t->name, ".bias") || strcmp(own, term) != 0)
			continue;
		for (int64_t k = 0; k < tensor_count(t); k++)
			sum += fabs((double)t->data[k] - (double)m->before[i][k]);
		n += tensor_count(t);
	}
	return n ? sum / (double)n : 0;
}

/* The paper's heat map, its layers folded together: mean |b - b0| of each term. */
static void bitfit_watch(struct method *m, const struct watch *out)
{
	for (size_t i = 0; i < m->nparam; i++) {
		char term[128], other[128], key[192];
		bool seen = !ends(m->param[i]->name, ".bias");

		term_of(m->param[i]->name, term, sizeof(term));
		for (size_t k = 0; k < i && !seen; k++) {
			term_of(m->param[k]->name, other, sizeof(other));
			seen = !strcmp(term, other) && ends(m->param[k]->name, ".bias");
		}
		if (seen)
			continue;
		snprintf(key, sizeof(key), "method/bitfit/change/%s", term);
		out->metric(out->arg, key, mean_change(m, term));
	}
}

const struct method_ops method_bitfit = {
	.name = "bitfit",
	.title = "BitFit",
	.cite = "Ben Zaken et al. 2021",
	.peft_type = "LORA",
	.starts_at_base = true,
	.knobs = knobs,
	.settings_size = sizeof(struct bitfit_settings),
	.begin = bitfit_begin,
	.config = bitfit_config,
	.agrees = lowrank_dummy_agrees,
	.watch = bitfit_watch,
};
