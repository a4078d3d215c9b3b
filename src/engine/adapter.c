/* adapter: arithmetic on adapter folders, and folding one into a model. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "engine/engine.h"
#include "engine/output.h"
#include "engine/session.h"
#include "method/arithmetic.h"

/* Which of a comma-separated list of n weights; all 1 without one. */
static int read_weights(const char *list, double *ret, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		ret[i] = 1;
	for (const char *at = list; at; k++) {
		double weight;
		char *end;

		errno = 0;
		weight = strtod(at, &end);
		if (end == at || errno || !isfinite(weight) || (*end && *end != ','))
			return err_set(TT_USAGE,
				       "--weights takes numbers such as 0.7,0.3, not '%s'", list);
		if (k < n)
			ret[k] = weight;
		at = *end ? end + 1 : NULL;
	}
	if (list && k != n)
		return err_set(TT_USAGE, "--weights has %zu numbers for %zu adapters", k, n);
	return TT_OK;
}

static int read_real(const struct args *a, const char *name, double def, double *ret)
{
	const char *text = args_value(a, name);
	char *end;

	*ret = text ? strtod(text, &end) : def;
	if (text && (end == text || *end || !isfinite(*ret)))
		return err_set(TT_USAGE, "%s takes a number, not '%s'", name, text);
	return TT_OK;
}

static int read_how(const struct args *a, struct arithmetic *ret)
{
	const char *vote = args_value(a, "--majority"), *how = args_value(a, "--how");
	long long r = 0, seed = 0;
	int code;

	*ret = (struct arithmetic){ .peft_svd = args_has(a, "--peft-svd") };
	if (arithmetic_parse(how ? how : "cat", ret))
		return err_set(TT_USAGE, "--how: %s", err_text());
	code = read_real(a, "--density", 0.5, &ret->density);
	if (!code && (args_int(a, "--rank", 1, 65536, 0, &r) ||
		      args_int(a, "--seed", 0, INT64_MAX, 42, &seed)))
		return err_set(TT_USAGE, "%s", err_text());
	if (!code && !(ret->density > 0 && ret->density <= 1))
		code = err_set(TT_USAGE, "--density is above 0 and at most 1");
	if (!code && vote && strcmp(vote, "total") != 0 && strcmp(vote, "frequency") != 0)
		code = err_set(TT_USAGE, "--majority is total or frequency, not '%s'", vote);
	ret->by_frequency = vote && !strcmp(vote, "frequency");
	ret->r = r;
	ret->seed = (uint64_t)seed;
	return code;
}

/* The sum of n adapters, pos[1] and on, into the last argument. */
static int write_sum(const struct args *a, const struct arithmetic *how, const double *weight,
		     size_t n)
{
	const char *out = a->pos[a->npos - 1];
	int code = output_check(out);

	if (!code)
		code = arithmetic_sum(how, a->pos + 1, weight, n, out);
	return code ? code : output_say(out, args_has(a, "--json"));
}

static int add(const struct args *a)
{
	double weight[ARGS_MAX];
	const size_t n = (size_t)a->npos - 2;
	struct arithmetic how;
	int code = read_how(a, &how);

	if (!code)
		code = read_weights(args_value(a, "--weights"), weight, n);
	return code ? code : write_sum(a, &how, weight, n);
}

static int subtract(const struct args *a)
{
	const double weight[] = { 1, -1 };
	struct arithmetic how;
	const int code = read_how(a, &how);

	if (a->npos != 4)
		return err_set(TT_USAGE, "adapter sub takes two adapters and the folder to write");
	return code ? code : write_sum(a, &how, weight, 2);
}

static int scale(const struct args *a)
{
	struct arithmetic how;
	double by;
	int code = read_how(a, &how);

	if (!code)
		code = read_real(a, "--by", NAN, &by);
	if (!code && (a->npos != 3 || isnan(by)))
		code = err_set(
			TT_USAGE,
			"adapter scale takes an adapter, the folder to write and --by NUMBER");
	return code ? code : write_sum(a, &how, &by, 1);
}

/* The recipe says model, task and method; the adapter's numbers take the place of a run's. */
static int merge(const struct args *a)
{
	char folder[PATH_MAX];
	struct session s;
	int code;

	if (a->npos != 4)
		return err_set(TT_USAGE,
			       "adapter merge takes a recipe, an adapter and the folder to write");
	code = session_open(a->pos[1], NULL, 0, &s);
	if (code)
		return code;
	code = output_check(a->pos[3]);
	if (!code)
		code = fs_absolute(folder, sizeof(folder), a->pos[2]);
	s.recipe->init_adapter = folder;
	s.recipe->compute.precision = PRECISION_FP32; /* a merge takes all digits */
	if (!code)
		code = session_load(&s, false);
	if (!code)
		code = method_merge(s.method);
	if (!code)
		code = fs_mkdirs(a->pos[3]);
	if (!code)
		code = model_save(s.model, a->pos[3]);
	if (!code)
		code = output_say(a->pos[3], args_has(a, "--json"));
	session_close(&s);
	return code;
}

static int adapter(const struct args *a)
{
	static const struct {
		const char *name;
		int (*run)(const struct args *a);
	} verbs[] = { { "add", add }, { "sub", subtract }, { "scale", scale }, { "merge", merge } };

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(a->pos[0], verbs[i].name))
			return verbs[i].run(a);
	}
	return err_set(TT_USAGE,
		       "'%s' is nothing to do with adapters; add, sub, scale and merge are",
		       a->pos[0]);
}

static const struct arg options[] = {
	{ "--weights", 0, "W,W,...", "add: a factor for each adapter (1)" },
	{ "--how", 0, "WAY",
	  "cat (exact, ranks add up; the default), svd (cut to --rank), linear, ties, dare_linear, "
	  "dare_ties, magnitude_prune, and the last four with _svd" },
	{ "--rank", 0, "R", "svd: the rank to keep (the largest of the adapters')" },
	{ "--density", 0, "D", "ties, dare, prune: the share of numbers to keep (0.5)" },
	{ "--majority", 0, "total|frequency",
	  "ties: which sign wins, by the sum of the numbers or by their count (total)" },
	{ "--seed", 0, "N", "dare: which numbers are dropped (42)" },
	{ "--peft-svd", 0, NULL,
	  "svd: count every adapter's scale twice, as Hugging Face PEFT before 0.21 did" },
	{ "--by", 0, "NUMBER", "scale: the factor" },
	{ "--json", 0, NULL, "{\"dir\",\"files\"}" },
	{ 0 }
};

const struct command verb_adapter = {
	.name = "adapter",
	.usage = "add ADAPTER ADAPTER... DIR | sub ADAPTER ADAPTER DIR | scale ADAPTER DIR --by "
		 "NUMBER | merge RECIPE|RUN ADAPTER DIR",
	.summary = "Add, subtract or scale LoRA adapters, or fold one into its model.",
	.details =
		"An ADAPTER is a folder as `trimtab export` and Hugging Face PEFT write it; the\n"
		"result in DIR is one too, and of merge a model folder. Heads of tasks are those\n"
		"of the first adapter that has them.",
	.options = options,
	.min_args = 3,
	.max_args = 64,
	.run = adapter,
};
