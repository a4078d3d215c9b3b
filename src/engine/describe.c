/*
 * describe: the catalogue of what this engine can do, one tab-separated record
 * a line, for forms, help and completion. Nothing is listed twice: the records
 * are the tables that the engine itself works by.
 *
 *     method NAME TITLE CITE PEFT_TYPE MERGES
 *     model  NAME TITLE
 *     backend NAME VERSION
 *     knob   SECTION NAME TYPE DEFAULT MIN MAX CHOICES HELP
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/recipe.h"
#include "engine/engine.h"
#include "method/method.h"

static const char *type_name(enum knob_type type)
{
	static const char *const name[] = {
		[KNOB_INT] = "int",       [KNOB_REAL] = "real",     [KNOB_BOOL] = "bool",
		[KNOB_CHOICE] = "choice", [KNOB_TEXT] = "text",     [KNOB_PATH] = "path",
		[KNOB_TEXTS] = "texts",   [KNOB_SELECT] = "select", [KNOB_INTS] = "ints",
		[KNOB_JSON] = "json",
	};

	return name[type];
}

/* A word as it stands in a recipe; "-" when absence is the default. */
static void default_value(const struct knob *k)
{
	const char *word = k->choices;
	int skip = (int)k->def;

	switch (k->type) {
	case KNOB_TEXT:
	case KNOB_PATH: printf("\t%s", k->text ? k->text : "-"); return;
	case KNOB_BOOL: printf("\t%s", k->def != 0 ? "true" : "false"); return;
	case KNOB_INT:
	case KNOB_REAL:
		if (k->flags & KNOB_OPTIONAL)
			break;
		printf("\t%.15g", k->def);
		return;
	case KNOB_CHOICE:
		while (word && skip-- > 0) {
			word = strchr(word, '|');
			word += word != NULL;
		}
		if (!word)
			break;
		printf("\t%.*s", (int)strcspn(word, "|"), word);
		return;
	default: break;
	}
	printf("\t-");
}

/* Only numbers have a range; min >= max says any number. */
static void range(const struct knob *k)
{
	if ((k->type == KNOB_INT || k->type == KNOB_REAL) && k->min < k->max)
		printf("\t%.16g\t%.16g", k->min, k->max);
	else
		printf("\t-\t-");
}

static void knobs(const char *section, const struct knob *table)
{
	for (const struct knob *k = table; k->name; k++) {
		printf("knob\t%s\t%s\t%s", section, k->name, type_name(k->type));
		default_value(k);
		range(k);
		printf("\t%s\t%s\n", k->choices ? k->choices : "-", k->help);
	}
}

static int describe(const struct args *a)
{
	(void)a;
	for (const struct method_ops *const *m = method_all(); *m; m++) {
		printf("method\t%s\t%s\t%s\t%s\t%s\n", (*m)->name, (*m)->title, (*m)->cite,
		       (*m)->peft_type ? (*m)->peft_type : "-",
		       (*m)->merge || !(*m)->wants ? "merges" : "-");
		knobs((*m)->name, (*m)->knobs);
	}
	for (const struct model_ops *const *m = model_all(); *m; m++)
		printf("model\t%s\t%s\n", (*m)->name, (*m)->title);
	for (const struct gemm_ops *const *g = gemm_all(); *g; g++)
		printf("backend\t%s\t%s\n", (*g)->name, (*g)->version ? (*g)->version() : "-");
	knobs("task", recipe_task_knobs());
	knobs("data", recipe_data_knobs());
	knobs("train", recipe_train_knobs());
	knobs("compute", recipe_compute_knobs());
	return TT_OK;
}

const struct command verb_describe = {
	.name = "describe",
	.usage = "",
	.summary = "Print what this engine can do: methods, models, settings with ranges, "
		   "tab-separated.",
	.max_args = 0,
	.run = describe,
};
